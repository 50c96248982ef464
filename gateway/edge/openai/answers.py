"""Videos in OpenAI's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.edge.openai.names import code_of
from gateway.edge.openai.sizes import size_of

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from kinemesh.video.v1.video_service_pb2 import GetVideoResponse

_QUEUED = ("PENDING", "ENCODING", "QUEUED")
_FAILED = ("FAILED", "CANCELLED", "BLOCKED")
# A client asks about twenty times for a video, however long it takes.
_POLLS = 20
_MIN_POLL_MS, _MAX_POLL_MS = 500, 10_000


def describe(video: GetVideoResponse) -> dict[str, Any]:
    """A video as OpenAI's clients read it.

    There are four statuses: clients take any other for an end. So a cancelled video has failed, with code "cancelled".
    """
    settings, done = video.settings, video.status == "COMPLETED"
    return {
        "id": video.request_id,
        "object": "video",
        "created_at": video.created_at.seconds,
        "completed_at": _seconds(video.completed_at) if done else None,
        "expires_at": None,
        "status": _status(video.status),
        "progress": 100 if done else video.progress.percent_complete,
        "model": video.model.lower(),
        "prompt": video.prompt,
        "seconds": f"{settings.duration_seconds:g}",
        "size": size_of(settings.resolution, settings.aspect_ratio),
        "remixed_from_video_id": video.remix_of or None,
        "error": _error(video) if video.status in _FAILED else None,
    }


def poll_after_ms(video: GetVideoResponse) -> int | None:
    """When to ask again; None when nothing will change any more."""
    if video.status == "COMPLETED" or video.status in _FAILED:
        return None
    return max(_MIN_POLL_MS, min(video.progress.estimated_remaining_seconds * 1000 // _POLLS, _MAX_POLL_MS))


def _status(status: str) -> str:
    if status == "COMPLETED":
        return "completed"
    if status in _FAILED:
        return "failed"
    return "queued" if status in _QUEUED else "in_progress"


def _error(video: GetVideoResponse) -> dict[str, str]:
    if video.status == "CANCELLED":
        return {"code": "cancelled", "message": "the video was cancelled"}
    if video.status == "BLOCKED":
        return {"code": code_of("CONTENT_BLOCKED"), "message": video.blocked_reason}
    return {"code": code_of(video.error.code), "message": video.error.message}


def _seconds(moment: Timestamp) -> int:
    return int(moment.seconds)
