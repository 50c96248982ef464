"""What the local mesh can generate: the models of the catalogue, and of all the others those that can run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deploy.local.home import ROOT, Home
from services.worker.providers.settings import ProviderSettings

CATALOGUE = ROOT / "deploy" / "catalogue.yaml"
MODELS = ROOT / "deploy" / "models.yaml"
"""Entries of all models that Kinemesh can run."""

Entry = dict[str, Any]


def write_catalogue(home: Home, catalogue: Path = CATALOGUE, models: Path = MODELS) -> Path:
    """Writes the catalogue of an installation, with those of `models` that can run here added; returns the file."""
    found = {name: entry for name, entry in read_entries(models).items() if can_run(entry)}
    merged = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    merged["models"] = {**found, **read_entries(catalogue)}
    path = home.directory / "catalogue.yaml"
    path.write_text(yaml.safe_dump(merged, sort_keys=False), encoding="utf-8")
    return path


def read_entries(file: Path) -> dict[str, Entry]:
    """Returns the entries of a file by model, with absolute paths."""
    entries: dict[str, Entry] = yaml.safe_load(file.read_text(encoding="utf-8"))["models"]
    for entry in entries.values():
        for field in {"weights", "text_encoder"} & entry.keys():
            entry[field] = str((file.parent / entry[field]).resolve())
    return entries


def can_run(entry: Entry) -> bool:
    """Whether what the model needs is here: the directory of its weights, or its provider's key in the environment."""
    if entry["backend"] == "provider":
        return ProviderSettings().missing_for(entry["provider"]) is None
    return Path(entry["weights"]).is_dir()
