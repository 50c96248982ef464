"""The shipped catalogue with weights elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from services.common.catalogue import TritonModel, load_catalogue

_DEPLOY = Path(__file__).parents[2] / "deploy"
SHIPPED = _DEPLOY / "catalogue.yaml"


def reference_at(weights: Path) -> TritonModel:
    """The entry of REFERENCE."""
    return load_catalogue(SHIPPED).triton_models["REFERENCE"].model_copy(update={"weights": weights})


def write_catalogue(directory: Path, weights: Path, others: Iterable[str] = ()) -> Path:
    """Writes a catalogue whose REFERENCE has its weights at the given place, with other models; returns the file."""
    catalogue = yaml.safe_load(SHIPPED.read_text())
    entries = yaml.safe_load((_DEPLOY / "models.yaml").read_text())["models"]
    catalogue["models"] |= {name: entries[name] for name in others}
    catalogue["models"]["REFERENCE"]["weights"] = str(weights)
    path = directory / "catalogue.yaml"
    path.write_text(yaml.safe_dump(catalogue))
    return path
