"""How a model process is set up: by its config.pbtxt, the environment where that differs, and the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from services.common.catalogue import TritonModel, load_catalogue
from triton_models.modeling.engine import choose_device

ENVIRONMENT = {
    "catalogue": "KINEMESH_CATALOGUE_PATH",
    "scratch_dir": "KINEMESH_SCRATCH_DIRECTORY",
    "threads": "KINEMESH_TRITON_THREADS",
    "device": "KINEMESH_TRITON_DEVICE",
}
"""Environment variable that overrides a parameter, by parameter."""


@dataclass(frozen=True)
class ModelParameters:
    """Settings of one model process."""

    entry: TritonModel
    """What the catalogue says of the model: where its weights are, and how it is to run."""
    scratch_dir: Path
    """The only directory in which requests may name files; shared with the worker."""
    threads: int
    """CPU threads of this process."""
    device: str = "auto"
    """cpu, cuda, or auto for a GPU where there is one."""

    @classmethod
    def from_triton(cls, args: Mapping[str, str], environ: Mapping[str, str]) -> ModelParameters:
        """Reads what Triton hands to `initialize`.

        Raises:
            ValueError: a parameter is missing or not valid, or the catalogue lacks the model.
            OSError: the catalogue cannot be read.
        """
        config: dict[str, Any] = json.loads(args["model_config"])
        given = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        values = {name: environ.get(variable) or given.get(name, "") for name, variable in ENVIRONMENT.items()}
        values["model"] = given.get("model", "")
        if missing := [name for name, value in values.items() if not value]:
            raise ValueError(f"config.pbtxt lacks the parameters {', '.join(missing)}")
        # A relative path starts at the model's own directory.
        catalogue = load_catalogue(Path(args["model_repository"]) / values["catalogue"])
        entry = next((entry for name, entry in catalogue.triton_models.items() if name == values["model"]), None)
        if entry is None:
            raise ValueError(f"the catalogue has no model {values['model']} that runs on Triton")
        return cls(
            entry=entry,
            scratch_dir=Path(values["scratch_dir"]).resolve(),
            threads=int(values["threads"]),
            device=values["device"],
        )

    def resident_device(self) -> torch.device:
        """Returns where networks compute that never wait elsewhere.

        Raises:
            ValueError: there is no such device, or the entry wants them to wait elsewhere.
        """
        if self.entry.offload != "none":
            raise ValueError(f"offload: {self.entry.offload} is not for this model, whose networks stay where they are")
        return choose_device(self.device)


def prepare_process(threads: int) -> None:
    """Sets torch up and refuses an environment in which Triton's Python backend answers empty tensors without an error.

    Raises:
        RuntimeError: numpy is 2 or newer.
    """
    if int(np.__version__.partition(".")[0]) >= 2:
        raise RuntimeError(f"Triton's Python backend needs numpy < 2, not {np.__version__}: its outputs would be empty")
    torch.set_num_threads(threads)
