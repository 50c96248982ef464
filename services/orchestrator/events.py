"""What the orchestrator publishes, and how it looks on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import Base64Bytes, BaseModel, ConfigDict

from kinemesh.orchestrator.v1 import job_events_pb2, job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.streams import stage_subject
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status

PROGRESS_PREFIX = "job.progress."
"""Core NATS, nobody stores it: `job.progress.<request_id>`, a `LiveEvent` in JSON."""

STAGES = {
    Status.PENDING: job_service_pb2.STAGE_ENCODING,
    Status.ENCODING: job_service_pb2.STAGE_ENCODING,
    Status.SAFETY_CHECKING: job_service_pb2.STAGE_SAFETY,
    Status.TRANSCODING: job_service_pb2.STAGE_TRANSCODING,
    Status.UPLOADING: job_service_pb2.STAGE_TRANSCODING,
}
"""The stage that claims jobs of a state."""


class LiveCheckpoint(BaseModel):
    """A committed checkpoint."""

    model_config = ConfigDict(frozen=True)

    checkpoint_id: str
    step: int
    total_steps: int
    local_path: str
    size_bytes: int
    synced_to_remote: bool


class LiveEvent(BaseModel):
    """News of a job for those who watch it. Changes of state are read from the database by whoever learns of them."""

    model_config = ConfigDict(frozen=True)

    type: Literal["state", "progress", "checkpoint_saved"]
    request_id: str
    rev: int
    seq: int
    status: Status
    timestamp: datetime
    step: int
    total_steps: int
    percent: int
    eta_seconds: int
    checkpoint_available: bool
    worker_id: str | None = None
    gpu_utilization: float = 0.0
    preview_jpeg: Base64Bytes = b""
    checkpoint: LiveCheckpoint | None = None


def state_subject(status: Status) -> str:
    """Where a change of state is published."""
    return f"job.events.{status.lower()}"


def wake_up_subject(status: Status) -> str:
    """Where the stage that claims jobs of a state is woken."""
    return stage_subject(STAGES[status])


def state_changed(job: Job, previous: Status | None) -> bytes:
    """A JobStateChanged in JSON."""
    message = job_events_pb2.JobStateChanged(
        event_id=str(job.last_event_id),
        request_id=str(job.request_id),
        user_id=job.user_id,
        previous_status=previous.proto if previous else video_pb2.VIDEO_STATUS_UNSPECIFIED,
        status=job.status.proto,
        epoch=job.epoch,
        rev=job.rev,
        occurred_at=_timestamp(job.updated_at),
    )
    if job.status.terminal:
        message.settlement.captured_credits = str(job.credits_used)
        message.settlement.refunded_credits = str(job.credits_refunded)
    return _json(message)


def queue_subject(job: Job) -> str:
    """Where a queued job is announced."""
    return f"video_generation_jobs.{job.tier.lower()}"


def queued(job: Job) -> bytes:
    """The source's job queue message in JSON."""
    message = job_events_pb2.QueuedJobMessage(
        request_id=str(job.request_id),
        user_id=job.user_id,
        tier=job.tier,
        priority=job.priority,
        model=job.model,
        prompt_embedding_path=job.artifacts.get("prompt_embedding_uri", ""),
        config=job_events_pb2.QueuedJobConfig(
            duration_seconds=float(job.duration_seconds),
            resolution=job.resolution,
            num_steps=job.total_steps,
            enable_audio=job.enable_audio,
        ),
        enqueued_at=job.available_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    return _json(message, defaults=True)


def _json(message: Message, *, defaults: bool = False) -> bytes:
    text = MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=defaults, indent=None
    )
    return text.encode()


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
