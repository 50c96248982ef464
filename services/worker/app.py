"""Composition root of the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import aiohttp

from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import Catalogue, load_catalogue
from services.common.lifecycle import Runtime, every
from services.common.rpc.client import open_channel
from services.common.storage import ObjectStore, open_object_store
from services.worker.agent import Agent
from services.worker.assignment import AssignmentRunner, Stages
from services.worker.convert import Identity, worker_state
from services.worker.decode import DecodeStage
from services.worker.generate import GenerateStage
from services.worker.hardware import PROVIDER, Hardware, measure_hardware
from services.worker.health import watch
from services.worker.metrics import BUSY_SHARE
from services.worker.models import ModelPool, Models
from services.worker.providers.build import make_served
from services.worker.providers.generate import ProviderGenerateStage
from services.worker.providers.offers import Offers, ProviderModels
from services.worker.providers.orders import Orders
from services.worker.providers.patience import Patience
from services.worker.providers.results import ProviderDecodeStage, ProviderSoundStage, Results
from services.worker.scratch import Scratch
from services.worker.session import SchedulerSession
from services.worker.settings import Settings
from services.worker.sound import SoundStage
from services.worker.state import WorkerState
from services.worker.sweep import CheckpointSweeper
from services.worker.triton import TritonClient, open_triton

SERVICE = "worker"
_SWEEP_S = 15.0
_LOOK_S = 1.0
_LONGEST_NAME = 61
"""Characters of a worker's name that leave room for the number of a slot."""


async def build(settings: Settings, runtime: Runtime) -> None:
    """Connects to the scheduler once there is something to draw with: Triton with its models, or providers."""
    scratch = Scratch(settings.scratch_directory, settings.checkpoint_retention_s)
    scratch.prepare()
    objects = await runtime.enter(open_object_store(settings))
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    jobs = job_service_pb2_grpc.JobServiceStub(channel)
    composition = _Composition(settings, runtime, load_catalogue(settings.catalogue_path), scratch, objects, jobs)
    if settings.worker_backend == "provider":
        await composition.build_for_providers()
    else:
        await composition.build_for_triton()


@dataclass(frozen=True)
class _Composition:
    """What both kinds of worker consist of."""

    settings: Settings
    runtime: Runtime
    catalogue: Catalogue
    scratch: Scratch
    objects: ObjectStore
    jobs: job_service_pb2_grpc.JobServiceAsyncStub

    async def build_for_triton(self) -> None:
        settings, runtime = self.settings, self.runtime
        triton = await runtime.enter(_open_triton(settings))
        state = WorkerState()
        capacity_gb = settings.model_memory_gb or (await measure_hardware()).memory_total_gb
        pool = ModelPool(triton, self.catalogue, state, capacity_gb)
        if settings.preload_default_model:
            await pool.ensure(self.catalogue.default_model)
        stages: Stages = {
            video_pb2.VIDEO_STATUS_GENERATING: GenerateStage(triton, self.objects, self.scratch, settings),
            video_pb2.VIDEO_STATUS_VAE_DECODING: DecodeStage(triton, self.objects, settings),
            video_pb2.VIDEO_STATUS_AUDIO_GENERATING: SoundStage(triton, self.objects, settings, self.catalogue),
        }
        agent = self._join(settings.worker_id, state, pool, stages, measure_hardware)
        runtime.depends("triton", state.require_available)
        runtime.background("health", partial(watch, pool, agent, state, settings.probe_interval_s))
        sweeper = CheckpointSweeper(self.jobs, self.scratch)
        runtime.background("sweep", partial(every, _SWEEP_S, sweeper.run_once, name="sweep"))

    async def build_for_providers(self) -> None:
        settings, runtime = self.settings, self.runtime
        http = await runtime.enter(aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.DummyCookieJar()))
        offers = Offers(make_served(settings, self.catalogue, http))
        patience = Patience(offers, settings.provider_patience_s)
        results = Results(offers, patience, settings)
        stages: Stages = {
            video_pb2.VIDEO_STATUS_GENERATING: ProviderGenerateStage(
                self.jobs, offers, Orders(self.catalogue, self.objects), patience, settings.provider_poll_s
            ),
            video_pb2.VIDEO_STATUS_VAE_DECODING: ProviderDecodeStage(results, self.objects, settings),
            video_pb2.VIDEO_STATUS_AUDIO_GENERATING: ProviderSoundStage(results, self.objects, settings),
        }
        for number in range(1, settings.provider_slots + 1):
            state = WorkerState()
            models = ProviderModels(offers, state)
            # Of a long name the end is what tells one pod from another.
            self._join(f"{settings.worker_id[-_LONGEST_NAME:]}-{number}", state, models, stages, _no_hardware)
        runtime.depends("providers", offers.require_any)
        runtime.background("offers", partial(every, _LOOK_S, offers.look, name="offers"))

    def _join(
        self,
        worker_id: str,
        state: WorkerState,
        models: Models,
        stages: Stages,
        hardware: Callable[[], Awaitable[Hardware]],
    ) -> Agent:
        """Makes a worker in the scheduler's sense: it holds one job at a time."""
        runner = AssignmentRunner(self.jobs, worker_id, models, self.scratch, state, stages)
        agent = Agent(runner, models, state)
        identity = Identity(worker_id, self.settings.pod_name, self.settings.node_name)

        async def snapshot() -> worker_pb2.GPUWorkerState:
            BUSY_SHARE.set(state.busy.share())
            return worker_state(identity, await hardware(), state)

        session = SchedulerSession(self.settings.scheduler_addresses, agent, state, snapshot, models)
        self.runtime.background(f"session {worker_id}", session.run, stop=session.leave)
        return agent


def _open_triton(settings: Settings) -> AbstractAsyncContextManager[TritonClient]:
    assert settings.triton_address is not None  # noqa: S101 - the settings see to it
    return open_triton(
        settings.triton_address,
        step_timeout_s=settings.step_timeout_s,
        load_timeout_s=settings.model_load_timeout_s,
        start_timeout_s=settings.triton_start_timeout_s,
    )


async def _no_hardware() -> Hardware:
    return PROVIDER
