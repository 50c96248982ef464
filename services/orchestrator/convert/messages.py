"""Jobs as the internal contracts show them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import InvalidArgument
from services.common.storage import ObjectRef
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.progress import remaining_seconds
from services.orchestrator.domain.status import Status
from services.orchestrator.store.checkpoints import Checkpoint, NewCheckpoint
from services.orchestrator.usecases.lifecycle import Advance, Deliverable
from services.orchestrator.usecases.operations import Operation

if TYPE_CHECKING:
    from services.orchestrator.domain.spec import VideoSpec


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment; None stays None, which leaves the field absent."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def tier(name: str) -> video_pb2.Tier.ValueType:
    """A tier by its stored name."""
    return video_pb2.Tier.Value(f"TIER_{name}")


def model(name: str) -> video_pb2.Model.ValueType:
    """A model by its stored name."""
    return video_pb2.Model.Value(f"MODEL_{name}")


def model_name(value: video_pb2.Model.ValueType, field: str) -> str:
    """A model's stored name.

    Raises:
        InvalidArgument: It is UNSPECIFIED, or unknown to this version.
    """
    if value == video_pb2.MODEL_UNSPECIFIED or value not in video_pb2.Model.values():
        raise InvalidArgument.of_field(field, "must name a model")
    return video_pb2.Model.Name(value).removeprefix("MODEL_")


def operation(request: job_service_pb2.SaveOperationRequest) -> Operation:
    """A provider's operation as the worker gives it."""
    given = request.operation
    try:
        cost = Decimal(given.cost_usd) if given.HasField("cost_usd") else None
    except ArithmeticError:
        cost = Decimal(-1)
    if cost is not None and not (cost.is_finite() and cost >= 0):
        raise InvalidArgument.of_field("operation.cost_usd", "must be a decimal that is not negative")
    fields = MessageToDict(given, preserving_proto_field_name=True)
    return Operation(operation_id=given.operation_id, cost_usd=cost, fields=fields)


def generation_config(spec: VideoSpec) -> video_pb2.GenerationConfig:
    """What billing prices."""
    return video_pb2.GenerationConfig(
        model=model(spec.model),
        duration_seconds=float(spec.duration_seconds),
        fps=spec.fps,
        resolution=video_pb2.Resolution.Value(f"RESOLUTION_{spec.resolution}"),
        aspect_ratio=spec.aspect_ratio,
        num_inference_steps=spec.steps,
        guidance_scale=float(spec.guidance_scale),
        enable_audio=spec.enable_audio,
        audio_config=video_pb2.AudioConfig(**spec.audio_config),
    )


def job(stored: Job) -> job_service_pb2.Job:
    """A job with everything a stage needs."""
    return job_service_pb2.Job(
        request=_request(stored),
        epoch=stored.epoch,
        rev=stored.rev,
        attempts=stored.attempts,
        lease_expires_at=timestamp(stored.lease_expires_at),
        artifacts=ParseDict(stored.artifacts, job_service_pb2.JobArtifacts(), ignore_unknown_fields=True),
        deadline=timestamp(stored.deadline),
        fallbacks=[model(plan["model"]) for plan in stored.fallbacks],
    )


def advance(request: job_service_pb2.AdvanceJobRequest) -> Advance:
    """The result of a state."""
    return Advance(
        request_id=request_id(request.request_id),
        epoch=request.epoch,
        to=Status.from_proto(request.to_status),
        artifacts=MessageToDict(request.artifacts, preserving_proto_field_name=True),
        gpu_time_ms=request.gpu_time_ms,
        post_gen_score=request.post_gen_score if request.HasField("post_gen_score") else None,
        deliverable=_deliverable(request.output) if request.HasField("output") else None,
    )


def checkpoint(stored: Checkpoint) -> checkpoint_pb2.VideoJobCheckpoint:
    """A checkpoint as stored."""
    return checkpoint_pb2.VideoJobCheckpoint(
        checkpoint_id=str(stored.checkpoint_id),
        request_id=str(stored.request_id),
        worker_id=stored.worker_id,
        created_at=timestamp(stored.created_at),
        step_number=stored.step_number,
        total_steps=stored.total_steps,
        state=checkpoint_pb2.CheckpointState(
            latent_tensor_path=stored.latent_local_path,
            latent_shape=stored.latent_shape,
            latent_dtype=stored.latent_dtype,
            rng_state_cpu=stored.rng_state_cpu,
            rng_state_cuda=stored.rng_state_cuda,
            scheduler_state=ParseDict(stored.scheduler_state, checkpoint_pb2.SchedulerState()),
            audio_state=stored.audio_state,
            sha256=stored.sha256,
            model_revision=stored.model_revision,
            engine_hash=stored.engine_hash,
            rng_state_path=stored.rng_state_path or "",
        ),
        storage=checkpoint_pb2.CheckpointStorage(
            local_path=stored.latent_local_path,
            remote_path=stored.latent_remote_path or "",
            synced_to_remote=stored.synced_to_remote,
            size_bytes=stored.size_bytes,
        ),
    )


def new_checkpoint(request: job_service_pb2.SaveCheckpointRequest) -> NewCheckpoint:
    """A checkpoint as the worker gives it."""
    given = request.checkpoint
    return NewCheckpoint(
        checkpoint_id=request_id(given.checkpoint_id) if given.checkpoint_id else uuid4(),
        request_id=request_id(given.request_id),
        worker_id=given.worker_id,
        step_number=given.step_number,
        total_steps=given.total_steps,
        latent_local_path=given.storage.local_path or given.state.latent_tensor_path,
        latent_remote_path=given.storage.remote_path or None,
        synced_to_remote=given.storage.synced_to_remote,
        latent_shape=list(given.state.latent_shape),
        latent_dtype=given.state.latent_dtype,
        rng_state_cpu=given.state.rng_state_cpu,
        rng_state_cuda=given.state.rng_state_cuda,
        audio_state=given.state.audio_state,
        scheduler_state=MessageToDict(given.state.scheduler_state, preserving_proto_field_name=True),
        sha256=given.state.sha256,
        model_revision=given.state.model_revision,
        engine_hash=given.state.engine_hash,
        rng_state_path=given.state.rng_state_path or None,
        epoch=request.epoch,
        size_bytes=given.storage.size_bytes,
        save_time_ms=request.save_time_ms,
    )


def request_id(text: str) -> UUID:
    """A job's id.

    Raises:
        InvalidArgument: It is not a UUID.
    """
    try:
        return UUID(text)
    except ValueError as exc:
        raise InvalidArgument.of_field("request_id", "must be a UUID") from exc


def _deliverable(output: video_pb2.Output) -> Deliverable:
    try:
        video = ObjectRef.parse(output.video_url)
    except ValueError as exc:
        raise InvalidArgument.of_field("output.video_url", "must be an s3:// location") from exc
    columns: dict[str, Any] = {
        "video_url": output.video_url,
        "thumbnail_url": output.thumbnail_url or None,
        "audio_url": output.audio_url or None,
        "c2pa_manifest_url": output.c2pa_manifest_url or None,
        "video_size_bytes": output.video_size_bytes,
        "video_sha256": output.video_sha256,
        "video_width": output.width,
        "video_height": output.height,
        "video_duration_seconds": output.duration_seconds,
        "native_width": output.native_width,
        "native_height": output.native_height,
        "native_fps": output.native_fps,
    }
    return Deliverable(video=video, sha256=output.video_sha256, size_bytes=output.video_size_bytes, columns=columns)


def _request(stored: Job) -> video_pb2.VideoGenerationRequest:
    return video_pb2.VideoGenerationRequest(
        request_id=str(stored.request_id),
        user_id=stored.user_id,
        created_at=timestamp(stored.created_at),
        updated_at=timestamp(stored.updated_at),
        status=stored.status.proto,
        tier=tier(stored.tier),
        priority=stored.priority,
        prompt_config=video_pb2.PromptConfig(
            text_prompt=stored.text_prompt,
            negative_prompt=stored.negative_prompt or "",
            first_frame_image=stored.first_frame_image_url or "",
            reference_video=stored.reference_video_url or "",
            style_preset=stored.style_preset or "",
            reference_strength=float(stored.reference_strength or 0),
        ),
        generation_config=_config(stored),
        progress=_progress(stored),
        output=_output(stored) if stored.status is Status.COMPLETED else None,
        safety=_safety(stored),
        billing=_billing(stored),
        started_at=timestamp(stored.started_at),
        completed_at=timestamp(stored.completed_at),
        error=_error(stored) if stored.status is Status.FAILED else None,
    )


def _config(stored: Job) -> video_pb2.GenerationConfig:
    return video_pb2.GenerationConfig(
        model=model(stored.model),
        duration_seconds=float(stored.duration_seconds),
        fps=stored.fps,
        resolution=video_pb2.Resolution.Value(f"RESOLUTION_{stored.resolution}"),
        aspect_ratio=stored.aspect_ratio,
        num_inference_steps=stored.num_inference_steps,
        guidance_scale=float(stored.guidance_scale),
        seed=stored.seed,
        enable_audio=stored.enable_audio,
        audio_config=video_pb2.AudioConfig(**stored.audio_config),
    )


def _progress(stored: Job) -> video_pb2.Progress:
    return video_pb2.Progress(
        current_step=stored.current_step,
        total_steps=stored.total_steps,
        current_phase=stored.current_phase,
        estimated_remaining_seconds=remaining_seconds(stored),
        last_checkpoint_step=stored.last_checkpoint_step,
        checkpoint_path=stored.checkpoint_path or "",
        percent=stored.percent,
    )


def _output(stored: Job) -> video_pb2.Output:
    return video_pb2.Output(
        video_url=stored.video_url or "",
        video_size_bytes=stored.video_size_bytes or 0,
        thumbnail_url=stored.thumbnail_url or "",
        audio_url=stored.audio_url or "",
        c2pa_manifest_url=stored.c2pa_manifest_url or "",
        generation_time_ms=stored.generation_time_ms or 0,
        gpu_time_ms=stored.gpu_time_ms,
        width=stored.video_width or 0,
        height=stored.video_height or 0,
        duration_seconds=stored.video_duration_seconds or 0.0,
        native_width=stored.native_width or 0,
        native_height=stored.native_height or 0,
        native_fps=stored.native_fps or 0.0,
        video_sha256=stored.video_sha256 or "",
    )


def _safety(stored: Job) -> video_pb2.SafetyResult:
    pre, post = stored.pre_gen_safety_score, stored.post_gen_safety_score
    return video_pb2.SafetyResult(
        pre_gen_score=None if pre is None else float(pre),
        post_gen_score=None if post is None else float(post),
        blocked_reason=stored.blocked_reason or "",
    )


def _billing(stored: Job) -> video_pb2.BillingInfo:
    used, refunded = stored.credits_used, stored.credits_refunded
    return video_pb2.BillingInfo(
        video_seconds=float(stored.video_seconds),
        cost_credits=str(stored.cost_credits),
        tier_multiplier=float(stored.tier_multiplier),
        captured_credits=None if used is None else str(used),
        refunded_credits=None if refunded is None else str(refunded),
        provider_cost_usd=None if stored.provider_cost_usd is None else str(stored.provider_cost_usd),
    )


def _error(stored: Job) -> video_pb2.JobError:
    return video_pb2.JobError(code=stored.error_code or "", message=stored.error_message or "")
