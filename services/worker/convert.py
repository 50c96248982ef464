"""Domain to protobuf."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import latent_pb2, video_pb2
from services.common.storage import StoredObject
from services.worker.hardware import Hardware
from services.worker.state import LoadedModel, WorkerState


@dataclass(frozen=True)
class Identity:
    """Which worker this is."""

    worker_id: str
    pod_name: str
    node_name: str


def worker_state(identity: Identity, hardware: Hardware, state: WorkerState) -> worker_pb2.GPUWorkerState:
    """The source's data model GPUWorkerState."""
    message = worker_pb2.GPUWorkerState(
        worker_id=identity.worker_id,
        pod_name=identity.pod_name,
        node_name=identity.node_name,
        status=state.status,
        hardware=_hardware(hardware),
        loaded_models=_loaded(state.models) if state.models else None,
        metrics=worker_pb2.WorkerMetrics(
            jobs_completed_today=state.figures.jobs_completed,
            average_generation_time_ms=state.figures.average_ms,
            checkpoint_save_time_ms=state.figures.checkpoint_save_time_ms,
            error_count_today=state.figures.errors,
        ),
    )
    if state.job is not None:
        message.current_job.request_id = state.job.request_id
        message.current_job.started_at.FromDatetime(state.job.started_at)
        message.current_job.current_step = state.job.step
        message.current_job.last_heartbeat.FromDatetime(datetime.now(UTC))
    return message


def _hardware(hardware: Hardware) -> worker_pb2.WorkerHardware:
    return worker_pb2.WorkerHardware(
        gpu_type=hardware.gpu_type,
        gpu_count=hardware.gpu_count,
        gpu_memory_total_gb=hardware.memory_total_gb,
        gpu_memory_used_gb=hardware.memory_used_gb,
        nvlink_topology=hardware.nvlink_topology,
    )


def _loaded(models: Sequence[LoadedModel]) -> worker_pb2.LoadedModels:
    """The registry has room for one model, the one used last, and for all text encoders; they are named by model."""
    model = models[-1]
    message = worker_pb2.LoadedModels(
        dit_model=model.name,
        vae_model=model.video_vae,
        text_encoders=sorted(loaded.name for loaded in models),
        audio_model=model.audio,
    )
    message.dit_model_loaded_at.FromDatetime(model.loaded_at)
    return message


def artifact(stored: StoredObject) -> job_service_pb2.Artifact:
    """An object that a row may point at."""
    return job_service_pb2.Artifact(uri=stored.ref.uri, sha256=stored.sha256, size_bytes=stored.size_bytes)


def checkpoint_state(
    written: dict[str, Any], manifest: str, config: video_pb2.GenerationConfig
) -> checkpoint_pb2.CheckpointState:
    """The samplers' state, from the `dit` model's description of a checkpoint, and where its manifest is."""
    return checkpoint_pb2.CheckpointState(
        latent_tensor_path=written["path"],
        latent_shape=written["shape"],
        latent_dtype=written["dtype"],
        rng_state_cpu=base64.b64decode(written["rng_state_cpu"]),
        rng_state_cuda=base64.b64decode(written["rng_state_cuda"]),
        scheduler_state=checkpoint_pb2.SchedulerState(
            timesteps_remaining=written["timesteps_remaining"], sigma_current=written["sigma"]
        ),
        sha256=written["sha256"],
        model_revision=written["model_digest"],
        engine_hash=written["engine_hash"],
        rng_state_path=manifest,
        audio_state=_audio_state(written, config),
    )


def _audio_state(written: dict[str, Any], config: video_pb2.GenerationConfig) -> bytes:
    """Sound is made with the frames, or after them by a sampler whose noise comes from the seed."""
    if not config.enable_audio:
        return b""
    steps = written["step"] if "audio_latent" in written["carries"] else 0
    return json.dumps({"seed": config.seed, "steps_done": steps}).encode()


def video_latent(
    request_id: str, plan: dict[str, Any], latents: dict[str, Any], stored: StoredObject, elapsed_ms: int
) -> latent_pb2.Video3DLatent:
    """The source's data model Video3DLatent, from the `dit` model's plan and result."""
    batch, frames, height, width, channels = latents["shape"]
    return latent_pb2.Video3DLatent(
        request_id=request_id,
        dimensions=latent_pb2.LatentDimensions(
            batch_size=batch, num_frames=frames, height=height, width=width, channels=channels
        ),
        compression=latent_pb2.LatentCompression(
            spatial_factor=plan["spatial_factor"],
            temporal_factor=plan["temporal_factor"],
            original_frames=plan["frames"],
            original_height=plan["height"],
            original_width=plan["width"],
        ),
        tensor=latent_pb2.LatentTensor(
            location=stored.ref.uri, dtype=latents["dtype"], device=latents["device"], sha256=stored.sha256
        ),
        metadata=latent_pb2.LatentMetadata(vae_version=plan["model_digest"], encoding_time_ms=elapsed_ms),
    )
