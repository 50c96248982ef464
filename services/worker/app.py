"""Composition root of the worker."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import load_catalogue
from services.common.lifecycle import Runtime, every
from services.common.rpc.client import open_channel
from services.common.storage import open_object_store
from services.worker.agent import Agent
from services.worker.assignment import AssignmentRunner, Stage
from services.worker.convert import Identity, worker_state
from services.worker.decode import DecodeStage
from services.worker.generate import GenerateStage
from services.worker.hardware import measure_hardware
from services.worker.health import watch
from services.worker.metrics import BUSY_SHARE
from services.worker.models import ModelPool
from services.worker.scratch import Scratch
from services.worker.session import SchedulerSession
from services.worker.settings import Settings
from services.worker.sound import SoundStage
from services.worker.state import WorkerState
from services.worker.sweep import CheckpointSweeper
from services.worker.triton import TritonClient, open_triton

SERVICE = "worker"
_SWEEP_S = 15.0


async def build(settings: Settings, runtime: Runtime) -> None:
    """Waits for Triton, loads the default model, and connects to the scheduler."""
    catalogue = load_catalogue(settings.catalogue_path)
    scratch = Scratch(settings.scratch_directory, settings.checkpoint_retention_s)
    scratch.prepare()
    objects = await runtime.enter(open_object_store(settings))
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    triton = await runtime.enter(_open_triton(settings))
    state = WorkerState()
    capacity_gb = settings.model_memory_gb or (await measure_hardware()).memory_total_gb
    pool = ModelPool(triton, catalogue, state, capacity_gb)
    if settings.preload_default_model:
        await pool.ensure(catalogue.default_model)
    stages: dict[video_pb2.VideoStatus.ValueType, Stage] = {
        video_pb2.VIDEO_STATUS_GENERATING: GenerateStage(triton, objects, scratch, settings),
        video_pb2.VIDEO_STATUS_VAE_DECODING: DecodeStage(triton, objects, settings),
        video_pb2.VIDEO_STATUS_AUDIO_GENERATING: SoundStage(triton, objects, settings, catalogue),
    }
    jobs = job_service_pb2_grpc.JobServiceStub(channel)
    runner = AssignmentRunner(jobs, settings.worker_id, pool, scratch, state, stages)
    agent = Agent(runner, pool, state)
    snapshot = partial(_snapshot, settings, state)
    session = SchedulerSession(settings.scheduler_addresses, agent, state, snapshot, pool.names)
    runtime.depends("triton", state.require_available)
    runtime.background("session", session.run, stop=session.leave)
    runtime.background("health", partial(watch, pool, agent, state, settings.probe_interval_s))
    sweeper = CheckpointSweeper(jobs, scratch)
    runtime.background("sweep", partial(every, _SWEEP_S, sweeper.run_once, name="sweep"))


def _open_triton(settings: Settings) -> AbstractAsyncContextManager[TritonClient]:
    return open_triton(
        settings.triton_address,
        step_timeout_s=settings.step_timeout_s,
        load_timeout_s=settings.model_load_timeout_s,
        start_timeout_s=settings.triton_start_timeout_s,
    )


async def _snapshot(settings: Settings, state: WorkerState) -> worker_pb2.GPUWorkerState:
    identity = Identity(settings.worker_id, settings.pod_name, settings.node_name)
    BUSY_SHARE.set(state.busy.share())
    return worker_state(identity, await measure_hardware(), state)
