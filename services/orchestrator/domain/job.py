"""A job as the database stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from services.orchestrator.domain.status import Status


class Row(Protocol):
    """What the database driver's rows offer."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row of `video_generations`; the migration describes the columns."""

    request_id: UUID
    user_id: str
    status: Status
    tier: str
    priority: int

    text_prompt: str
    negative_prompt: str | None
    first_frame_image_url: str | None
    reference_video_url: str | None
    reference_strength: Decimal | None
    style_preset: str | None

    model: str
    duration_seconds: Decimal
    fps: int
    resolution: str
    aspect_ratio: str
    num_inference_steps: int
    guidance_scale: Decimal
    seed: int
    enable_audio: bool
    audio_config: Mapping[str, bool]

    current_step: int
    total_steps: int
    current_phase: str
    percent: int
    progress_seq: int
    last_checkpoint_step: int
    checkpoint_path: str | None
    step_time_ms: float | None
    gpu_utilization: float | None
    planned_step_ms: float
    planned_fixed_s: float

    video_url: str | None
    thumbnail_url: str | None
    audio_url: str | None
    c2pa_manifest_url: str | None
    video_size_bytes: int | None
    generation_time_ms: int | None
    gpu_time_ms: int
    video_sha256: str | None
    video_width: int | None
    video_height: int | None
    video_duration_seconds: float | None
    native_width: int | None
    native_height: int | None
    native_fps: float | None

    pre_gen_safety_score: Decimal | None
    post_gen_safety_score: Decimal | None
    blocked_reason: str | None

    credits_used: Decimal | None
    credits_refunded: Decimal | None
    cost_credits: Decimal
    tier_multiplier: Decimal
    video_seconds: Decimal

    rev: int
    epoch: int
    attempts: int
    stalled_attempts: int
    lease_owner: str | None
    lease_expires_at: datetime | None
    available_at: datetime
    """When the job began to wait for whoever takes it next."""
    work_limit_s: float
    """Time from the first start after which the job is given up."""
    deadline: datetime
    """When the job is given up: before its first start for its waiting, then for its work."""
    artifacts: dict[str, Any]
    """JobArtifacts in JSON with proto field names."""
    last_event_id: UUID

    error_code: str | None
    error_message: str | None
    webhook_url: str | None
    webhook_secret: bytes | None
    remix_of: UUID | None

    fallbacks: list[dict[str, Any]]
    """Models that may take over, the first choice first, each with the columns that a move sets."""
    requested_model: str | None
    """The model asked for, once the job has moved."""
    provider_cost_usd: Decimal | None
    """What providers charged so far; None until one has."""

    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    deleted_at: datetime | None

    read_at: datetime
    """The database's clock when the row was read."""

    @classmethod
    def from_row(cls, row: Row) -> Job:
        """Builds a job from a row that has at least the columns above."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "status": Status(row["status"])})

    @property
    def has_latents(self) -> bool:
        """Whether denoising is finished and its result committed."""
        return "latents" in self.artifacts

    @property
    def has_mezzanine(self) -> bool:
        """Whether the decoded frames are committed."""
        return "mezzanine" in self.artifacts


COLUMNS = tuple(field.name for field in fields(Job) if field.name != "read_at")
"""The columns a job is read from."""
