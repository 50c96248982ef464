"""Jobs that wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Tier(StrEnum):
    """Service tiers, most urgent first."""

    REALTIME = "REALTIME"
    STANDARD = "STANDARD"
    CINEMA = "CINEMA"

    @property
    def rank(self) -> int:
        """0 is most urgent."""
        return list(Tier).index(self)


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits for a worker."""

    request_id: UUID
    user_id: str
    tier: Tier
    priority: int
    """0 is highest."""
    model: str
    """Model name without prefix."""
    prompt_embedding_path: str
    duration_seconds: float
    resolution: str
    num_steps: int
    enable_audio: bool
    enqueued_at: datetime
    """When it was first put into the queue; a job that was given back keeps its place."""
