"""The shipped catalogue with weights elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml

from services.common.catalogue import TritonModel, load_catalogue

SHIPPED = Path(__file__).parents[2] / "deploy" / "catalogue.yaml"


def reference_at(weights: Path) -> TritonModel:
    """The entry of REFERENCE."""
    return load_catalogue(SHIPPED).triton_models["REFERENCE"].model_copy(update={"weights": weights})


def write_catalogue(directory: Path, weights: Path) -> Path:
    """Writes a catalogue whose REFERENCE has its weights at the given place; returns the file."""
    catalogue = yaml.safe_load(SHIPPED.read_text())
    catalogue["models"]["REFERENCE"]["weights"] = str(weights)
    path = directory / "catalogue.yaml"
    path.write_text(yaml.safe_dump(catalogue))
    return path
