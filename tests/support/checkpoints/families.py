"""The catalogue's entries of Mochi 1, LTX-2 and Wan, for tiny checkpoints of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from services.common.catalogue import TritonModel
from tests.support.catalogue import SHIPPED
from tests.support.checkpoints.ltx2 import write_ltx2
from tests.support.checkpoints.mochi import write_mochi
from tests.support.checkpoints.wan import write_wan

WRITERS: dict[str, Callable[[Path], None]] = {"MOCHI1": write_mochi, "LTX2": write_ltx2, "WAN": write_wan}
"""What writes a checkpoint, by the model's name."""
WIDTH, HEIGHT, FPS = 64, 32, 4
"""Of what the tiny models draw."""


def tiny_entry(name: str, weights: Path) -> dict[str, Any]:
    """Returns the shipped entry of a model with its weights elsewhere and the smallest clips."""
    entry: dict[str, Any] = yaml.safe_load((SHIPPED.parent / "models.yaml").read_text())["models"][name]
    native = {**entry["native"], "sizes": {"16:9": [WIDTH, HEIGHT]}, "fps": FPS}
    return {**entry, "weights": str(weights), "native": native, "precision": "float32", "memory_gb": 0.5}


def tiny_model(name: str, weights: Path, **changes: Any) -> TritonModel:
    """Returns the entry as a process reads it."""
    return TritonModel.model_validate({**tiny_entry(name, weights), **changes})
