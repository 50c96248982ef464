"""The catalogue: which models this installation can run, where, with which defaults and at which price."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

TierName = Literal["REALTIME", "STANDARD", "CINEMA"]
ModelName = Literal["VEO3", "SORA", "MOCHI1", "LTX2", "GEN4", "OPENSORA", "REFERENCE"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TierProfile(_Entry):
    """How a model serves a tier."""

    steps: int = Field(ge=4, le=100)
    """Denoising steps when the request names none."""
    guidance_scale: float = Field(ge=1.0, le=20.0)
    """Classifier-free guidance when the request names none."""
    step_ms: float = Field(gt=0)
    """Planned time of a step for a 5 s clip, milliseconds; used until this installation has measured its own."""
    fixed_s: float = Field(ge=0)
    """Planned time of everything but the steps for a 5 s clip, seconds; used until measured."""
    deadline_s: float = Field(gt=0)
    """A job of this tier is given up after this long, seconds."""


class ModelEntry(_Entry):
    """A model that can be asked for."""

    backend: Literal["triton"]
    """Where it runs."""
    dit: str
    """Triton model that denoises."""
    video_vae: str
    """Triton model that decodes latents."""
    audio: str
    """Triton model that makes sound."""
    weights: Path
    """Directory of the weights, relative to the catalogue file."""
    memory_gb: float = Field(gt=0)
    """Memory the loaded models take, GiB."""
    price_multiplier: float = Field(gt=0)
    """Factor of this model in the price."""
    speech: bool
    """Whether it can speak; a request for speech is refused otherwise."""
    tiers: dict[TierName, TierProfile]
    """Tiers it serves."""


class Catalogue(_Entry):
    """Everything that can be asked for."""

    default_model: ModelName
    """Model behind the bare tier names of the REST API."""
    models: dict[ModelName, ModelEntry]
    """Deployed models by name."""

    @model_validator(mode="after")
    def _default_is_deployed(self) -> Catalogue:
        if self.default_model not in self.models:
            raise ValueError(f"default_model {self.default_model} is not among the models")
        return self


def load_catalogue(path: Path) -> Catalogue:
    """Reads a catalogue file; weights paths become absolute.

    Raises:
        ValueError: the file is not a valid catalogue; the text names the field.
        OSError: the file cannot be read.
    """
    catalogue = Catalogue.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    models = {
        name: entry.model_copy(update={"weights": (path.parent / entry.weights).resolve()})
        for name, entry in catalogue.models.items()
    }
    return catalogue.model_copy(update={"models": models})
