"""Settings of the encoder service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.common.sandbox import SandboxLimits
from services.common.settings import (
    NatsSettings,
    OrphanSettings,
    PostgresSettings,
    ReferenceVideoSettings,
    S3Settings,
    ServiceSettings,
)


class Settings(PostgresSettings, NatsSettings, S3Settings, OrphanSettings, ReferenceVideoSettings, ServiceSettings):
    """Where the encoder finds the others and the models."""

    orchestrator_address: str
    """host:port of the orchestrator's gRPC server."""
    catalogue_path: Path
    """The catalogue, which names the deployed models and where their weights are."""
    encoder_threads: int = Field(default=1, ge=1, le=64)
    """Threads that torch computes with."""
    encoder_device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it computes the text encoders of models that others trained; auto is a GPU where there is one."""
    encoder_concurrency: int = Field(default=16, ge=1)
    """Jobs at once in this process. Encoding and decoding go one by one; reference videos are fetched side by side, so
    that slow servers of some users do not keep the jobs of others waiting."""
    reference_video_max_mb: int = Field(default=256, ge=1)
    """Largest reference video that is fetched, MiB."""
    reference_video_fetch_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that fetching one may take."""
    reference_video_decode_timeout_s: float = Field(default=120.0, gt=0)
    """Seconds that decoding and conforming one may take."""
    reference_video_memory_mb: int = Field(default=2048, ge=256)
    """Memory that decoding one may take, MiB."""

    @property
    def sandbox_limits(self) -> SandboxLimits:
        """Caps of the process that decodes reference videos."""
        return SandboxLimits(
            memory_mb=self.reference_video_memory_mb,
            cpu_s=int(self.reference_video_decode_timeout_s) * 4,
            wall_s=self.reference_video_decode_timeout_s,
            file_mb=4096,
        )
