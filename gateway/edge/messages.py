"""The WebSocket messages of the API, as the design's "Message Formats" writes them, from the typed watch events."""

from __future__ import annotations

from typing import Any

from kinemesh.video.v1 import video_pb2
from kinemesh.video.v1.video_service_pb2 import (
    CheckpointSavedEvent,
    CompletedEvent,
    ErrorEvent,
    PhaseChangeEvent,
    ProgressEvent,
    WatchVideoResponse,
)
from services.common.formats import jpeg_url

Message = dict[str, Any]


def to_message(event: WatchVideoResponse) -> Message:
    """One JSON message; its `type` is the event's name, its `id` resumes the stream."""
    kind = event.WhichOneof("event")
    if kind is None:
        raise ValueError("a watch event without content")
    body = _BODIES[kind](getattr(event, kind))
    envelope = {"id": event.event_id, "timestamp": event.timestamp.ToJsonString()}
    return {"type": kind, "request_id": event.request_id, "status": status_name(event.status), **body, **envelope}


def status_name(status: video_pb2.VideoStatus.ValueType) -> str:
    """The name the REST API uses, e.g. "GENERATING"."""
    return video_pb2.VideoStatus.Name(status).removeprefix("VIDEO_STATUS_")


def is_terminal(message: Message) -> bool:
    """Whether nothing follows this message."""
    return message["type"] in ("completed", "error")


def _progress(event: ProgressEvent) -> Message:
    progress = {
        "step": event.step,
        "total_steps": event.total_steps,
        "percent": event.percent,
        "phase": event.phase,
        "eta_seconds": event.eta_seconds,
        "checkpoint_available": event.checkpoint_available,
    }
    message: Message = {"progress": progress}
    if event.HasField("worker"):
        message["worker"] = {"worker_id": event.worker.worker_id, "gpu_utilization": event.worker.gpu_utilization}
    if event.preview_jpeg:
        message["preview"] = jpeg_url(event.preview_jpeg)
    return message


def _checkpoint(event: CheckpointSavedEvent) -> Message:
    fields = ("checkpoint_id", "step", "total_steps", "local_path", "size_bytes", "synced_to_remote")
    return {"checkpoint": {field: getattr(event, field) for field in fields}}


def _phase_change(event: PhaseChangeEvent) -> Message:
    return {"previous_phase": event.previous_phase, "new_phase": event.new_phase}


def _completed(event: CompletedEvent) -> Message:
    return {"video_url": event.video_url, "thumbnail_url": event.thumbnail_url}


def _error(event: ErrorEvent) -> Message:
    return {"error_code": event.error_code, "error_message": event.error_message}


_BODIES: dict[str, Any] = {
    "progress": _progress,
    "checkpoint_saved": _checkpoint,
    "phase_change": _phase_change,
    "completed": _completed,
    "error": _error,
}
