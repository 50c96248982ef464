"""Events of a video: as WatchVideo streams them, and as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.api.httpbody_pb2 import HttpBody

from kinemesh.video.v1 import video_pb2
from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.formats import jpeg_url
from services.orchestrator.convert.messages import timestamp
from services.orchestrator.domain.progress import remaining_seconds
from services.orchestrator.domain.status import WORKER_STATES, Status
from services.orchestrator.events import LiveEvent
from services.orchestrator.usecases.watch import Ended, PhaseChange, Position, Silence, Snapshot, WatchEvent

if TYPE_CHECKING:
    from services.orchestrator.domain.job import Job
    from services.orchestrator.links import Links

_KEPT = 512
"""Events whose text is kept for other streams of the same video; only the newest are asked for again."""
_HEARTBEAT = ": still here\n\n"


def watch_response(event: WatchEvent, links: Links) -> pb.WatchVideoResponse | None:
    """An event; None for a silence, of which a gRPC stream needs no sign."""
    match event:
        case Snapshot(job):
            return _snapshot(job)
        case PhaseChange():
            return _phase_change(event)
        case LiveEvent():
            return _live(event)
        case Ended(job):
            return _ended(job, links)
        case Silence():
            return None


def error_event(job: Job) -> pb.ErrorEvent:
    """Why a video has no result."""
    if job.status is Status.CANCELLED:
        return pb.ErrorEvent(error_code="CANCELLED", error_message="the video was cancelled")
    if job.status is Status.BLOCKED:
        return pb.ErrorEvent(error_code="CONTENT_BLOCKED", error_message=job.blocked_reason or "")
    return pb.ErrorEvent(error_code=job.error_code or "", error_message=job.error_message or "")


@lru_cache(maxsize=_KEPT)
def server_sent(event: WatchEvent, links: Links) -> HttpBody | None:
    """An event as text/event-stream; None for what the source's stream does not have."""
    if isinstance(event, Silence):
        return _text(_HEARTBEAT)
    response = watch_response(event, links)
    if response is None or (fields := _fields(response)) is None:
        return None
    name = response.WhichOneof("event")
    return _text(f"event: {name}\nid: {response.event_id}\ndata: {json.dumps(fields)}\n\n")


def _text(text: str) -> HttpBody:
    return HttpBody(content_type="text/event-stream", data=text.encode())


def _snapshot(job: Job) -> pb.WatchVideoResponse:
    response = _envelope_of(job)
    response.progress.CopyFrom(
        pb.ProgressEvent(
            step=job.current_step,
            total_steps=job.total_steps,
            percent=job.percent,
            phase=job.status.phase,
            eta_seconds=remaining_seconds(job),
            checkpoint_available=job.last_checkpoint_step > 0,
            worker=_worker(job),
        )
    )
    return response


def _phase_change(event: PhaseChange) -> pb.WatchVideoResponse:
    return pb.WatchVideoResponse(
        event_id=str(event.position),
        timestamp=timestamp(event.occurred_at),
        request_id=event.request_id,
        status=event.status.proto,
        phase_change=pb.PhaseChangeEvent(previous_phase=event.previous.phase, new_phase=event.status.phase),
    )


def _live(event: LiveEvent) -> pb.WatchVideoResponse:
    response = pb.WatchVideoResponse(
        event_id=str(Position(event.rev, event.seq)),
        timestamp=timestamp(event.timestamp),
        request_id=event.request_id,
        status=event.status.proto,
    )
    if event.checkpoint is not None:
        response.checkpoint_saved.CopyFrom(pb.CheckpointSavedEvent(**event.checkpoint.model_dump()))
        return response
    response.progress.CopyFrom(
        pb.ProgressEvent(
            step=event.step,
            total_steps=event.total_steps,
            percent=event.percent,
            phase=event.status.phase,
            eta_seconds=event.eta_seconds,
            checkpoint_available=event.checkpoint_available,
            worker=_live_worker(event),
            preview_jpeg=event.preview_jpeg,
        )
    )
    return response


def _ended(job: Job, links: Links) -> pb.WatchVideoResponse:
    response = _envelope_of(job)
    if job.status is Status.COMPLETED:
        response.completed.CopyFrom(
            pb.CompletedEvent(
                video_url=links.of_object(job.video_url), thumbnail_url=links.of_object(job.thumbnail_url)
            )
        )
    else:
        response.error.CopyFrom(error_event(job))
    return response


def _envelope_of(job: Job) -> pb.WatchVideoResponse:
    return pb.WatchVideoResponse(
        event_id=str(Position.of(job)),
        timestamp=timestamp(job.updated_at),
        request_id=str(job.request_id),
        status=job.status.proto,
    )


def _worker(job: Job) -> pb.WorkerInfo | None:
    if job.status not in WORKER_STATES or not job.lease_owner:
        return None
    return pb.WorkerInfo(worker_id=job.lease_owner, gpu_utilization=job.gpu_utilization or 0.0)


def _live_worker(event: LiveEvent) -> pb.WorkerInfo | None:
    if not event.worker_id:
        return None
    return pb.WorkerInfo(worker_id=event.worker_id, gpu_utilization=event.gpu_utilization)


def _fields(response: pb.WatchVideoResponse) -> Mapping[str, Any] | None:
    """The data of a server-sent event, as the source writes it."""
    name = response.WhichOneof("event")
    status = video_pb2.VideoStatus.Name(response.status).removeprefix("VIDEO_STATUS_")
    moment = response.timestamp.ToDatetime(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    begin, end = {"request_id": response.request_id}, {"timestamp": moment}
    if name == "progress":
        progress = response.progress
        return {
            **begin,
            "status": status,
            "step": progress.step,
            "total_steps": progress.total_steps,
            "phase": progress.phase,
            "percent": progress.percent,
            "eta_seconds": progress.eta_seconds,
            **({"preview": jpeg_url(progress.preview_jpeg)} if progress.preview_jpeg else {}),
            **end,
        }
    if name == "phase_change":
        change = response.phase_change
        phases = {"previous_phase": change.previous_phase, "new_phase": change.new_phase}
        return {**begin, **phases, **end}
    if name == "completed":
        return {**begin, "status": status, "video_url": response.completed.video_url, **end}
    if name == "error":
        error = response.error
        texts = {"error_code": error.error_code, "error_message": error.error_message}
        return {**begin, "status": status, **texts, **end}
    return None
