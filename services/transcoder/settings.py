"""Settings of the transcoder service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.common.sandbox import SandboxLimits
from services.common.settings import NatsSettings, S3Settings, ServiceSettings


class Settings(NatsSettings, S3Settings, ServiceSettings):
    """Where the transcoder finds the others, and how it encodes."""

    orchestrator_address: str
    """host:port of the orchestrator's gRPC server."""
    c2pa_certificate_chain_file: Path | None = None
    """PEM file: the certificate that signs C2PA manifests, then its issuers. The service does not start without it."""
    c2pa_private_key_file: Path | None = None
    """PEM file (PKCS#8, not encrypted): the private key of that certificate. The service does not start without it."""
    c2pa_trust_anchors_file: Path | None = None
    """PEM file: roots whose signatures VerifyProvenance calls "Trusted"; absent means that the best is "Valid"."""
    transcode_concurrency: int = Field(default=1, ge=1)
    """Jobs at once in this process."""
    transcode_threads: int = Field(default=2, ge=1, le=64)
    """Threads of one encoder; the bytes of the result depend on their number."""
    transcode_memory_mb: int = Field(default=6144, ge=512)
    """Memory one conversion may take, MiB; 4K needs about 3 GiB of address space."""
    transcode_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds one conversion may take."""
    h264_preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "veryfast"
    """x264's trade of speed against size."""
    h264_crf: int = Field(default=20, ge=0, le=51)
    """x264's constant rate factor; lower is better and larger."""
    aac_bit_rate: int = Field(default=160_000, ge=32_000, le=512_000)
    """Bits per second of the sound."""
    thumbnail_max_side_px: int = Field(default=1280, ge=64, le=4096)
    """Longest side of the thumbnail, pixels."""

    @property
    def sandbox_limits(self) -> SandboxLimits:
        """Caps of the process that decodes and encodes."""
        return SandboxLimits(
            memory_mb=self.transcode_memory_mb,
            cpu_s=int(self.transcode_timeout_s * self.transcode_threads) + 1,
            wall_s=self.transcode_timeout_s,
            file_mb=5 * 1024,
        )
