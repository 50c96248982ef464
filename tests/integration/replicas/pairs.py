"""The mesh with two replicas of every service, in this process; only the models are played."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local.ports import free_port
from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.billing import app as billing
from services.billing.settings import Settings as BillingSettings
from services.common.catalogue import Catalogue, TritonModel, load_catalogue
from services.common.lifecycle import Runtime
from services.common.rpc.client import open_channel
from services.common.storage import ObjectStore, open_object_store
from services.encoder import app as encoder
from services.encoder.settings import Settings as EncoderSettings
from services.orchestrator import app as orchestrator
from services.orchestrator.settings import Settings as OrchestratorSettings
from services.safety import app as safety
from services.safety.settings import Settings as SafetySettings
from services.scheduler import app as scheduler
from services.scheduler.settings import Settings as SchedulerSettings
from services.transcoder import app as transcoder
from services.transcoder.settings import Settings as TranscoderSettings
from services.worker import keys
from services.worker.agent import Agent
from services.worker.assignment import AssignmentRunner, Stage
from services.worker.convert import Identity, artifact, worker_state
from services.worker.hardware import measure_hardware
from services.worker.scratch import Scratch
from services.worker.session import SchedulerSession
from services.worker.settings import Settings as WorkerSettings
from services.worker.state import LoadedModel, WorkerState
from services.worker.work import Work
from tests.support.waiting import eventually

SERVICES: Mapping[str, tuple[Any, Any]] = {
    "billing": (BillingSettings, billing.build),
    "safety": (SafetySettings, safety.build),
    "orchestrator": (OrchestratorSettings, orchestrator.build),
    "encoder": (EncoderSettings, encoder.build),
    "scheduler": (SchedulerSettings, scheduler.build),
    "transcoder": (TranscoderSettings, transcoder.build),
}


@dataclass
class Replica:
    """One process's worth of a service, always at the same address."""

    service: str
    settings: Any
    build: Callable[[Any, Runtime], Awaitable[None]]
    runtime: Runtime = field(default_factory=Runtime)
    running: asyncio.Task[int] | None = None

    def start(self) -> None:
        """Starts without waiting."""
        self.runtime = Runtime()
        run = self.runtime.run(self.settings, partial(self.build, self.settings), self.service)
        self.running = asyncio.create_task(run)

    async def serves(self) -> bool:
        """Whether it does."""
        if self.running is not None and self.running.done():
            self.running.result()
        return "grpc" in self.runtime.ports

    async def stop(self) -> None:
        """What SIGTERM does."""
        self.runtime.stopping.set()
        assert self.running is not None
        assert await self.running == 0


@dataclass
class Pairs:
    """All replicas."""

    replicas: dict[str, list[Replica]]

    async def start(self) -> None:
        """Starts one pair after another: alembic cannot migrate two schemas at once in one process."""
        for pair in self.replicas.values():
            for replica in pair:
                replica.start()
            for replica in pair:
                await eventually(replica.serves, timeout_s=90)

    async def restart(self, service: str) -> None:
        """Restarts both replicas of a service, one after the other."""
        for replica in self.replicas[service]:
            await replica.stop()
            replica.start()
            await eventually(replica.serves, timeout_s=90)

    async def stop(self) -> None:
        """Stops everything, those who ask before those who are asked."""
        for pair in reversed(self.replicas.values()):
            await asyncio.gather(*(replica.stop() for replica in pair))


def make_pairs(common: Mapping[str, Any], mezzanine: Path, count: int = 2) -> tuple[Pairs, dict[str, str]]:
    """Plans replicas of everything; returns them and the gRPC targets by service.

    Args:
        common: Settings of all: servers, buckets, keys, catalogue, scratch.
        mezzanine: The video that the workers pretend to have made.
        count: How many replicas of each service.
    """
    addresses = {name: [f"127.0.0.1:{free_port()}" for _ in range(count)] for name in SERVICES}
    targets = {name: f"ipv4:{','.join(pair)}" for name, pair in addresses.items()}
    known = {f"{name}_address": target for name, target in targets.items()}
    known["scheduler_address"] = ",".join(addresses["scheduler"])
    replicas = {
        name: [
            Replica(name, settings.model_validate({**common, **known, "grpc_address": address}), build)
            for address in addresses[name]
        ]
        for name, (settings, build) in SERVICES.items()
    }
    replicas["worker"] = [
        Replica("worker", _worker_settings(common, known, number), partial(_build_worker, mezzanine))
        for number in range(count)
    ]
    return Pairs(replicas), targets


def quick(dsn: str, nats_url: str, objectstore: Any, buckets: str, catalogue: Path) -> dict[str, Any]:
    """Settings that all services take what they need of; everything quick."""
    return {
        "postgres_dsn": dsn,
        "nats_url": nats_url,
        "s3_endpoint_url": objectstore.endpoint_url,
        "s3_access_key": objectstore.access_key,
        "s3_secret_key": objectstore.secret_key,
        **{f"s3_bucket_{name}": f"{buckets}{name}" for name in ("embeddings", "checkpoints", "mezzanine", "media")},
        "catalogue_path": catalogue,
        "public_url": "https://api.example.com",
        "webhook_master_secret": base64.b64encode(b"m" * 32).decode(),
        "initial_credits": "100",
        "postgres_pool_size": 8,
        "reap_interval_s": 0.5,
        "sweep_interval_s": 1.0,
        "sweep_quiet_s": 1.0,
        "reconcile_interval_s": 1.0,
        "reconcile_after_s": 1.0,
        "tick_s": 0.5,
        "leader_check_s": 0.5,
        "leader_silence_s": 5,
        "shutdown_grace_s": 20,
        # All of them share one thread here: on a busy machine a lease may end without anybody's fault.
        "lease_s": 30,
        "max_attempts": 20,
        "transcode_threads": 1,
    }


def _worker_settings(common: Mapping[str, Any], known: Mapping[str, str], number: int) -> WorkerSettings:
    own = {"worker_id": f"worker-{number}", "triton_address": "127.0.0.1:1"}
    scratch = {"scratch_directory": common["catalogue_path"].parent / f"scratch-{number}"}
    return WorkerSettings.model_validate({**common, **known, **own, **scratch})


async def _build_worker(mezzanine: Path, settings: WorkerSettings, runtime: Runtime) -> None:
    """The worker's own composition, but for Triton and the stages that ask it."""
    catalogue = load_catalogue(settings.catalogue_path)
    scratch = Scratch(settings.scratch_directory, settings.checkpoint_retention_s)
    scratch.prepare()
    objects = await runtime.enter(open_object_store(settings))
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    state = WorkerState()
    pool = _Models(catalogue, state)
    stages: dict[video_pb2.VideoStatus.ValueType, Stage] = {
        video_pb2.VIDEO_STATUS_GENERATING: _Denoise(),
        video_pb2.VIDEO_STATUS_VAE_DECODING: _Decode(objects, settings, mezzanine),
    }
    jobs = job_service_pb2_grpc.JobServiceStub(channel)
    runner = AssignmentRunner(jobs, settings.worker_id, pool, scratch, state, stages)
    agent = Agent(runner, pool, state)

    async def snapshot() -> worker_pb2.GPUWorkerState:
        return worker_state(Identity(settings.worker_id, "pod", "node"), await measure_hardware(), state)

    session = SchedulerSession(settings.scheduler_addresses, agent, state, snapshot, pool)
    runtime.background("session", session.run, stop=session.leave)


class _Models:
    """Models that are all loaded."""

    def __init__(self, catalogue: Catalogue, state: WorkerState) -> None:
        self._catalogue = catalogue
        state.models.append(LoadedModel("REFERENCE", "video_vae", "audio", 1.0))

    @property
    def names(self) -> list[str]:
        return ["REFERENCE"]

    async def ensure(self, name: str) -> TritonModel:
        assert name == "REFERENCE"
        return self._catalogue.triton_models["REFERENCE"]

    async def recover(self, name: str, error: Exception) -> None:
        pass


class _Denoise:
    """Reports steps; gives the job back at one when asked."""

    async def run(self, work: Work) -> None:
        steps = work.config.num_inference_steps
        for step in range(1, steps + 1):
            work.stop.check()
            await asyncio.sleep(0.02)
            work.report(step, step / steps, 20)
        latents = job_service_pb2.Artifact(uri=f"s3://none/{work.lease.request_id}", sha256="0" * 64)
        await work.advance(video_pb2.VIDEO_STATUS_VAE_DECODING, job_service_pb2.JobArtifacts(latents=latents))


class _Decode:
    """Has the video already; the copy is the job's own, as it is deleted with it."""

    def __init__(self, objects: ObjectStore, settings: WorkerSettings, mezzanine: Path) -> None:
        self._objects = objects
        self._settings = settings
        self._mezzanine = mezzanine

    async def run(self, work: Work) -> None:
        ref = keys.mezzanine(self._settings, work.lease.request_id, work.lease.epoch, "0" * 64)
        made = artifact(await self._objects.put_file(ref, self._mezzanine))
        following = video_pb2.VIDEO_STATUS_SAFETY_CHECKING
        await work.advance(following, job_service_pb2.JobArtifacts(mezzanine=made))
