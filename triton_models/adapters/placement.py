"""Where networks wait and compute, and in which precision; and how they are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from accelerate import cpu_offload
from torch import nn

from triton_models.modeling.engine import choose_device
from triton_models.serving.parameters import ModelParameters

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Placement:
    """What the settings of one model process mean for its networks."""

    device: torch.device
    """Where they compute."""
    dtype: torch.dtype
    """What they compute in."""
    offload: Literal["none", "model", "sequential"]
    """What waits in main memory while it is not used: nothing, whole networks, or every layer."""

    @classmethod
    def of(cls, parameters: ModelParameters, dtype: torch.dtype | None = None) -> Placement:
        """Reads the settings; `dtype` is for networks that need a precision of their own.

        Raises:
            ValueError: a GPU is needed and there is none.
        """
        entry, device = parameters.entry, choose_device(parameters.device)
        if entry.offload != "none" and device.type == "cpu":
            raise ValueError(f"offload: {entry.offload} needs a GPU, and this process computes on the CPU")
        return cls(device, dtype or getattr(torch, entry.precision), entry.offload)

    def load(self, kind: type[Network], weights: Path, part: str) -> Network:
        """Loads one part of a checkpoint in diffusers' layout, from the disk alone.

        Raises:
            OSError: it is not there, or not as safetensors.
        """
        network: Network = self._from_disk(kind, weights, part)
        if self.offload == "sequential":
            return cpu_offload(network, self.device)
        return network if self.offload == "model" else network.to(self.device)

    def _from_disk(self, kind: Any, weights: Path, part: str) -> Any:
        options = {"dtype": self.dtype, "local_files_only": True, "use_safetensors": True}
        # Dropout would make runs differ.
        return kind.from_pretrained(weights, subfolder=part, **options).eval()

    @contextmanager
    def using(self, *networks: nn.Module) -> Iterator[None]:
        """Has networks that wait as a whole on the device while they are used."""
        moving = networks if self.offload == "model" else ()
        try:
            for network in moving:
                network.to(self.device)
            yield
        finally:
            for network in moving:
                network.to("cpu")
