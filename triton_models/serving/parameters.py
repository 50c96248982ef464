"""How a model process is set up: from the parameters of its config.pbtxt, and the environment where that differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

ENVIRONMENT = {
    "weights_dir": "KINEMESH_TRITON_WEIGHTS_DIR",
    "scratch_dir": "KINEMESH_SCRATCH_DIRECTORY",
    "threads": "KINEMESH_TRITON_THREADS",
}
"""Environment variable that overrides a parameter, by parameter."""


@dataclass(frozen=True)
class ModelParameters:
    """Settings of one model process."""

    weights_dir: Path
    """Directory of the weights; a relative one starts at the model's own directory."""
    scratch_dir: Path
    """The only directory in which requests may name files; shared with the worker."""
    threads: int
    """CPU threads of this process."""

    @classmethod
    def from_triton(cls, args: Mapping[str, str], environ: Mapping[str, str]) -> ModelParameters:
        """Reads what Triton hands to `initialize`.

        Raises:
            ValueError: a parameter is missing or not valid.
        """
        config: dict[str, Any] = json.loads(args["model_config"])
        given = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
        values = {name: environ.get(variable) or given.get(name, "") for name, variable in ENVIRONMENT.items()}
        if missing := [name for name, value in values.items() if not value]:
            raise ValueError(f"config.pbtxt lacks the parameters {', '.join(missing)}")
        return cls(
            weights_dir=(Path(args["model_repository"]) / values["weights_dir"]).resolve(),
            scratch_dir=Path(values["scratch_dir"]).resolve(),
            threads=int(values["threads"]),
        )


def prepare_process(threads: int) -> None:
    """Sets torch up and refuses an environment in which Triton's Python backend answers empty tensors without an error.

    Raises:
        RuntimeError: numpy is 2 or newer.
    """
    if int(np.__version__.partition(".")[0]) >= 2:
        raise RuntimeError(f"Triton's Python backend needs numpy < 2, not {np.__version__}: its outputs would be empty")
    torch.set_num_threads(threads)
