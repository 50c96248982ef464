"""The shipped catalogue with weights elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from services.common.catalogue import TritonModel, load_catalogue

SHIPPED = Path(__file__).parents[2] / "deploy" / "catalogue.yaml"
OTHERS = SHIPPED.with_name("models.yaml")


def reference_at(weights: Path) -> TritonModel:
    """The entry of REFERENCE."""
    return load_catalogue(SHIPPED).triton_models["REFERENCE"].model_copy(update={"weights": weights})


def entry_of(model: str, **changes: Any) -> dict[str, Any]:
    """The entry that is proposed for a model which is not shipped, with changes."""
    return {**yaml.safe_load(OTHERS.read_text())["models"][model], **changes}


def write_catalogue(directory: Path, weights: Path, **others: dict[str, Any]) -> Path:
    """Writes a catalogue whose REFERENCE has its weights at the given place, with other entries; returns the file."""
    catalogue = yaml.safe_load(SHIPPED.read_text())
    catalogue["models"]["REFERENCE"]["weights"] = str(weights)
    catalogue["models"] |= others
    path = directory / "catalogue.yaml"
    path.write_text(yaml.safe_dump(catalogue))
    return path
