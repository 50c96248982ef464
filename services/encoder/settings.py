"""Settings of the encoder service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.common.settings import NatsSettings, OrphanSettings, PostgresSettings, S3Settings, ServiceSettings


class Settings(PostgresSettings, NatsSettings, S3Settings, OrphanSettings, ServiceSettings):
    """Where the encoder finds the others and the models."""

    orchestrator_address: str
    """host:port of the orchestrator's gRPC server."""
    catalogue_path: Path
    """The catalogue, which names the deployed models and where their weights are."""
    encoder_threads: int = Field(default=1, ge=1, le=64)
    """Threads that torch computes with."""
    encoder_device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it computes the text encoders of models that others trained; auto is a GPU where there is one."""
    encoder_concurrency: int = Field(default=4, ge=1)
    """Jobs at once in this process; encoding itself goes one by one."""
