"""A tiny Open-Sora, laid out as its authors published theirs: the random weights that the golden tensors came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from tests.support.catalogue import entry_of
from tests.unit.parity.golden import golden

PARTS = {"stdit3": "stdit3", "vae": "opensora_vae"}
"""Golden file by directory."""


def published(part: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Returns the configuration and the weights of a part."""
    recorded = golden(PARTS[part])
    prefix = "weights."
    weights = {name.removeprefix(prefix): value for name, value in recorded.items() if name.startswith(prefix)}
    return json.loads(bytes(recorded["config"].tolist())), weights


def opensora_entry(weights: Path, **changes: Any) -> dict[str, Any]:
    """The catalogue's entry of the tiny one, whose pictures do not divide into whole tokens."""
    native = {"sizes": {"16:9": [58, 34], "1:1": [40, 40]}, "fps": 24, "max_duration_s": 16}
    return entry_of("OPENSORA", **{"weights": str(weights), "native": native, "precision": "float32", **changes})


def write_opensora(directory: Path) -> Path:
    """Writes transformer and autoencoder; returns the directory."""
    for part in PARTS:
        config, weights = published(part)
        (directory / part).mkdir(parents=True)
        (directory / part / "config.json").write_text(json.dumps(config))
        save_file(weights, directory / part / "model.safetensors")
    return directory
