"""Where networks wait and compute, and in which precision; and how they are loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import cpu_offload
from torch import nn

from triton_models.modeling.engine import choose_device
from triton_models.serving.parameters import ModelParameters


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
        return cls(device, dtype or getattr(torch, entry.dtype), entry.offload)

    def load(self, kind: Any, weights: Path, part: str) -> Any:
        """Loads one part of a checkpoint in diffusers' layout, from the disk alone.

        Raises:
            OSError: it is not there, or not as safetensors.
        """
        options = {"dtype": self.dtype, "local_files_only": True, "use_safetensors": True}
        # Dropout would make runs differ.
        network = kind.from_pretrained(weights, subfolder=part, **options).eval()
        if self.offload == "sequential":
            return cpu_offload(network, self.device)
        return network if self.offload == "model" else network.to(self.device)

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


def class_of(weights: Path, part: str, *allowed: Any) -> Any:
    """Returns the class that a checkpoint's index names for one of its parts.

    Raises:
        OSError: there is no index.
        ValueError: the class is not one of the allowed.
    """
    index = json.loads((weights / "model_index.json").read_text(encoding="utf-8"))
    name = index.get(part, ["", "none"])[1]
    kinds = {kind.__name__: kind for kind in allowed}
    if name not in kinds:
        raise ValueError(f"{weights} has {name} for {part}; supported are {', '.join(kinds)}")
    return kinds[name]
