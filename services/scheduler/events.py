"""Consumes the source's job queue message into the queue."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.common.identity import MAX_USER_ID
from services.common.jetstream import ConsumerSpec, Message, PoisonError
from services.common.postgres import Pool
from services.common.streams import QUEUED_JOBS
from services.scheduler.domain.jobs import QueuedJob, Tier
from services.scheduler.hub import Hub
from services.scheduler.store import queue

CONSUMER = ConsumerSpec(QUEUED_JOBS, durable="scheduler-queue", subject="video_generation_jobs.*")

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]{1,32}$")]


class _Config(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    duration_seconds: float = Field(gt=0, le=3600, allow_inf_nan=False)
    resolution: Literal["480P", "720P", "1080P", "4K"]
    num_steps: int = Field(ge=1, le=1000)
    enable_audio: bool


class _QueuedJobMessage(BaseModel):
    """The `data` of the source's job queue message; fields of later versions are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    request_id: UUID
    user_id: str = Field(min_length=1, max_length=MAX_USER_ID)
    tier: Tier
    priority: int = Field(ge=0, le=1000)
    model: _Name
    prompt_embedding_path: str = Field(max_length=1024)
    """Empty for a provider's model, which encodes the prompt itself."""
    config: _Config
    enqueued_at: AwareDatetime


class EnqueueJob:
    """Handles `video_generation_jobs.*`."""

    def __init__(self, pool: Pool, hub: Hub) -> None:
        self._pool = pool
        self._hub = hub

    async def __call__(self, message: Message) -> None:
        """Puts the job into the queue; PoisonError when the message is not one."""
        await queue.put(self._pool, [parse(message.data)])
        self._hub.wake()


def parse(data: bytes) -> QueuedJob:
    """Reads a job queue message.

    Raises:
        PoisonError: a field is missing or wrong; the text names it.
    """
    try:
        message = _QueuedJobMessage.model_validate_json(data)
    except ValidationError as exc:
        fields = ", ".join(".".join(map(str, error["loc"])) or "body" for error in exc.errors())
        raise PoisonError(f"not a job queue message: {fields}") from None
    fields_of_job = {**dict(message), **dict(message.config)}
    del fields_of_job["config"]
    return QueuedJob(**fields_of_job)
