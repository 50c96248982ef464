"""Protobuf to domain and back. Everything that workers and users say is checked here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import InvalidArgument
from services.scheduler.domain.jobs import QueuedJob, Tier
from services.scheduler.domain.workers import (
    CurrentJob,
    DayMetrics,
    Finished,
    Hardware,
    Heartbeat,
    LoadedModels,
    Outcome,
    Register,
    WorkerMessage,
    WorkerState,
    WorkerStatus,
)

_MAX_INT = 2**31 - 1
_DEFAULT_PAGE = 100
_MAX_PAGE = 1000


def to_message(request: pb.ConnectWorkerRequest) -> WorkerMessage:
    """What a worker says."""
    match request.WhichOneof("message"):
        case "register":
            register = request.register
            return Register(to_state(register.state), frozenset(register.models), _to_resumed(register))
        case "heartbeat":
            beat = request.heartbeat
            return Heartbeat(to_state(beat.state), min(1.0, max(0.0, _finite(beat.gpu_utilization))))
        case "finished":
            return _to_finished(request.finished)
        case _:
            raise InvalidArgument.of_field("message", "must be set")


def to_state(state: worker_pb2.GPUWorkerState) -> WorkerState:
    """A worker's description of itself."""
    _check_text("state.worker_id", state.worker_id, 64, required=True)
    _check_text("state.pod_name", state.pod_name, 128)
    _check_text("state.node_name", state.node_name, 128)
    _check_text("state.hardware.gpu_type", state.hardware.gpu_type, 32)
    _check_text("state.hardware.nvlink_topology", state.hardware.nvlink_topology, 32)
    return WorkerState(
        worker_id=state.worker_id,
        pod_name=state.pod_name,
        node_name=state.node_name,
        status=_to_status(state.status),
        hardware=_to_hardware(state.hardware),
        loaded=_to_loaded(state.loaded_models),
        current=_to_current(state.current_job) if state.HasField("current_job") else None,
        metrics=DayMetrics(checkpoint_save_time_ms=_natural(state.metrics.checkpoint_save_time_ms)),
    )


def from_state(state: WorkerState) -> worker_pb2.GPUWorkerState:
    """A worker as the registry knows it."""
    message = worker_pb2.GPUWorkerState(
        worker_id=state.worker_id,
        pod_name=state.pod_name,
        node_name=state.node_name,
        status=worker_pb2.WorkerStatus.Value(f"WORKER_STATUS_{state.status}"),
        hardware=worker_pb2.WorkerHardware(
            gpu_type=state.hardware.gpu_type,
            gpu_count=state.hardware.gpu_count,
            gpu_memory_total_gb=state.hardware.memory_total_gb,
            gpu_memory_used_gb=state.hardware.memory_used_gb,
            nvlink_topology=state.hardware.nvlink_topology,
        ),
        loaded_models=_from_loaded(state.loaded),
        metrics=worker_pb2.WorkerMetrics(
            jobs_completed_today=state.metrics.jobs_completed,
            average_generation_time_ms=state.metrics.average_generation_time_ms,
            checkpoint_save_time_ms=state.metrics.checkpoint_save_time_ms,
            error_count_today=state.metrics.errors,
        ),
        models=state.models,
    )
    if state.current is not None:
        message.current_job.CopyFrom(_from_current(state.current, state.last_heartbeat))
    return message


def from_state_for_users(state: WorkerState) -> worker_pb2.GPUWorkerState:
    """The same without the id of the job in hand, which is its owner's business."""
    message = from_state(state)
    if message.HasField("current_job"):
        message.current_job.ClearField("request_id")
    return message


def from_queue(jobs: list[QueuedJob], page_size: int) -> pb.ListQueueResponse:
    """The head of the queue, which is in order."""
    return pb.ListQueueResponse(entries=map(_from_job, jobs[:page_size]), total=len(jobs))


def to_page_size(size: int) -> int:
    """0 means the default."""
    if not 0 <= size <= _MAX_PAGE:
        raise InvalidArgument.of_field("page_size", f"must be 0 to {_MAX_PAGE}")
    return size or _DEFAULT_PAGE


def to_jobs(jobs: Iterable[job_service_pb2.Job]) -> list[QueuedJob]:
    """The orchestrator's QUEUED jobs as they would stand in the queue."""
    return [_to_job(job) for job in jobs]


def model(name: str) -> video_pb2.Model.ValueType:
    """A model by its name without prefix; UNSPECIFIED for one that this version does not know."""
    known = video_pb2.Model.DESCRIPTOR.values_by_name.get(f"MODEL_{name}")
    return video_pb2.MODEL_UNSPECIFIED if known is None else video_pb2.Model.Value(known.name)


def model_name(value: video_pb2.Model.ValueType) -> str:
    """The other way round."""
    return video_pb2.Model.Name(value).removeprefix("MODEL_")


def to_assignment(response: job_service_pb2.AssignJobResponse, assigned_at: datetime) -> pb.ConnectWorkerResponse:
    """The order to do a job."""
    checkpoint: checkpoint_pb2.VideoJobCheckpoint | None = None
    if response.HasField("checkpoint"):
        checkpoint = response.checkpoint
    assignment = pb.Assignment(job=response.job, checkpoint=checkpoint, assigned_at=_timestamp(assigned_at))
    return pb.ConnectWorkerResponse(assign=assignment)


def _to_job(job: job_service_pb2.Job) -> QueuedJob:
    request, config = job.request, job.request.generation_config
    return QueuedJob(
        request_id=UUID(request.request_id),
        user_id=request.user_id,
        tier=Tier(video_pb2.Tier.Name(request.tier).removeprefix("TIER_")),
        priority=request.priority,
        model=model_name(config.model),
        prompt_embedding_path=job.artifacts.prompt_embedding_uri,
        duration_seconds=config.duration_seconds,
        resolution=video_pb2.Resolution.Name(config.resolution).removeprefix("RESOLUTION_"),
        num_steps=request.progress.total_steps,
        enable_audio=config.enable_audio,
        enqueued_at=request.updated_at.ToDatetime(UTC),
    )


def _from_job(job: QueuedJob) -> pb.QueueEntry:
    return pb.QueueEntry(
        request_id=str(job.request_id),
        tier=job.tier,
        priority=job.priority,
        model=job.model,
        enqueued_at=_timestamp(job.enqueued_at),
    )


def _to_resumed(register: pb.RegisterWorker) -> tuple[UUID, int] | None:
    if not register.resumed_request_id:
        return None
    return _to_uuid("register.resumed_request_id", register.resumed_request_id), register.resumed_epoch


def _to_finished(finished: pb.AssignmentFinished) -> Finished:
    name = pb.AssignmentOutcome.Name(finished.outcome).removeprefix("ASSIGNMENT_OUTCOME_")
    if name == "UNSPECIFIED":
        raise InvalidArgument.of_field("finished.outcome", "must be set")
    request_id = _to_uuid("finished.request_id", finished.request_id)
    return Finished(request_id, finished.epoch, Outcome(name), max(0, finished.duration_ms))


def _to_status(status: int) -> WorkerStatus:
    value = worker_pb2.WorkerStatus.DESCRIPTOR.values_by_number.get(status)
    name = value.name.removeprefix("WORKER_STATUS_") if value else "UNSPECIFIED"
    if name in ("UNSPECIFIED", "OFFLINE"):
        raise InvalidArgument.of_field("state.status", "must be what a connected worker can be doing")
    return WorkerStatus(name)


def _to_hardware(hardware: worker_pb2.WorkerHardware) -> Hardware:
    return Hardware(
        gpu_type=hardware.gpu_type,
        gpu_count=_natural(hardware.gpu_count),
        memory_total_gb=max(0.0, _finite(hardware.gpu_memory_total_gb)),
        memory_used_gb=max(0.0, _finite(hardware.gpu_memory_used_gb)),
        nvlink_topology=hardware.nvlink_topology or "none",
    )


def _to_loaded(loaded: worker_pb2.LoadedModels) -> LoadedModels:
    loaded_at = loaded.dit_model_loaded_at.ToDatetime(UTC) if loaded.HasField("dit_model_loaded_at") else None
    return LoadedModels(loaded.dit_model, loaded_at, loaded.vae_model, tuple(loaded.text_encoders), loaded.audio_model)


def _from_loaded(loaded: LoadedModels) -> worker_pb2.LoadedModels:
    return worker_pb2.LoadedModels(
        dit_model=loaded.dit_model,
        dit_model_loaded_at=_timestamp(loaded.dit_model_loaded_at) if loaded.dit_model_loaded_at else None,
        vae_model=loaded.vae_model,
        text_encoders=loaded.text_encoders,
        audio_model=loaded.audio_model,
    )


def _to_current(job: worker_pb2.CurrentJob) -> CurrentJob:
    started_at = job.started_at.ToDatetime(UTC) if job.HasField("started_at") else None
    return CurrentJob(_to_uuid("state.current_job.request_id", job.request_id), started_at, _natural(job.current_step))


def _from_current(current: CurrentJob, last_heartbeat: datetime | None) -> worker_pb2.CurrentJob:
    return worker_pb2.CurrentJob(
        request_id=str(current.request_id),
        started_at=_timestamp(current.started_at) if current.started_at else None,
        current_step=current.step,
        last_heartbeat=_timestamp(last_heartbeat) if last_heartbeat else None,
    )


def _to_uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidArgument.of_field(field, "must be a UUID") from None


def _check_text(field: str, text: str, longest: int, *, required: bool = False) -> None:
    if len(text) > longest or "\0" in text or (required and not text):
        raise InvalidArgument.of_field(field, f"must be {int(required)} to {longest} characters")


def _natural(number: int) -> int:
    return min(max(0, number), _MAX_INT)


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
