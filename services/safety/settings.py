"""Settings of the safety service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from services.common.sandbox import SandboxLimits
from services.common.settings import NatsSettings, PostgresSettings, S3Settings, ServiceSettings
from services.safety.domain import CATEGORIES
from services.safety.text.classifier import DEFAULT_WEIGHTS
from services.safety.text.rules import DEFAULT_RULES

Threshold = Annotated[float, Field(gt=0, le=1)]
_THRESHOLDS: Mapping[str, float] = {
    **dict.fromkeys(CATEGORIES, 0.7),
    "sexual_minors": 0.5,
    "photosensitivity": 0.5,
}


class Settings(PostgresSettings, NatsSettings, S3Settings, ServiceSettings):
    """Where the safety service finds the others, and what it lets pass."""

    orchestrator_address: str
    """host:port of the orchestrator's gRPC server."""
    safety_thresholds: Mapping[str, Threshold] = Field(default=_THRESHOLDS, validate_default=True)
    """Score by category from which on something is refused, over 0 to 1, as JSON; those left out keep their default.
    For photosensitivity 0.5 is the limit of ITU-R BT.1702."""
    safety_rules_file: Path = DEFAULT_RULES
    """Rules for prompts, YAML as services/safety/text/rules.yaml."""
    safety_text_weights_file: Path = DEFAULT_WEIGHTS
    """Weights of the classifier for prompts, as `python -m services.safety.training` writes them."""
    safety_onnx_model_file: Path | None = None
    """An ONNX image classifier for sampled frames; absent means that frames are checked for flashes only. Needs the
    package onnxruntime, which Kinemesh does not install."""
    safety_onnx_labels_file: Path | None = None
    """Its label map, JSON as services/safety/frames/onnx.py says; needed with the model."""
    safety_sample_interval_s: float = Field(default=0.5, gt=0)
    """Longest time between two frames that the image classifier sees, seconds; it also sees one after every cut."""
    safety_concurrency: int = Field(default=1, ge=1)
    """Jobs at once in this process."""
    safety_memory_mb: int = Field(default=2048, ge=256)
    """Memory one frame check may take, MiB."""
    safety_timeout_s: float = Field(default=300.0, gt=0)
    """Seconds one frame check may take."""

    @field_validator("safety_thresholds")
    @classmethod
    def _complete(cls, given: Mapping[str, float]) -> Mapping[str, float]:
        unknown = set(given) - set(CATEGORIES)
        if unknown:
            raise ValueError(f"unknown categories: {sorted(unknown)}")
        return {**_THRESHOLDS, **given}

    @property
    def sandbox_limits(self) -> SandboxLimits:
        """Caps of the process that decodes frames; it writes none."""
        cpu_s = int(self.safety_timeout_s) * 4
        return SandboxLimits(memory_mb=self.safety_memory_mb, cpu_s=cpu_s, wall_s=self.safety_timeout_s, file_mb=1)

    @model_validator(mode="after")
    def _whole_classifier(self) -> Settings:
        if (self.safety_onnx_model_file is None) != (self.safety_onnx_labels_file is None):
            raise ValueError("safety_onnx_model_file and safety_onnx_labels_file belong together")
        return self
