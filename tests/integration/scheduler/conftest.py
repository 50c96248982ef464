"""The scheduler on real PostgreSQL and NATS, with a fake orchestrator behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.servers.nats import Nats
from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2_grpc
from services.common.jetstream import JetStream, open_jetstream
from services.common.lifecycle import Runtime
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer, RpcService
from services.scheduler.app import SERVICE, build
from services.scheduler.settings import Settings
from tests.integration.scheduler.fakes import FakeJobs
from tests.support.waiting import eventually

_CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogue.yaml"


@dataclass(frozen=True)
class Scheduler:
    """A running replica and ways into it."""

    address: str
    scheduling: scheduler_service_pb2_grpc.SchedulerServiceAsyncStub
    workers: scheduler_service_pb2_grpc.WorkerServiceAsyncStub
    runtime: Runtime


Replica = Callable[[], AbstractAsyncContextManager[Scheduler]]


@pytest_asyncio.fixture(loop_scope="session")
async def jobs() -> AsyncIterator[tuple[FakeJobs, str]]:
    """A JobService of the orchestrator's kind, and its address."""
    fake = FakeJobs()  # type: ignore[abstract]
    descriptor = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
    server = RpcServer([RpcService(descriptor, job_service_pb2_grpc.add_JobServiceServicer_to_server, fake)])
    port = await server.start("127.0.0.1:0")
    yield fake, f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
def settings(postgres_dsn: str, nats: Nats, jobs: tuple[FakeJobs, str]) -> Settings:
    """Quick times; the queue is compared with the orchestrator often."""
    return Settings.model_validate(
        {
            "postgres_dsn": postgres_dsn,
            "nats_url": nats.url,
            "orchestrator_address": jobs[1],
            "catalogue_path": _CATALOGUE,
            "tick_s": 0.1,
            "reconcile_interval_s": 0.3,
            "worker_lease_s": 60,
            "leader_check_s": 0.2,
            "leader_silence_s": 2,
            "shutdown_grace_s": 0.5,
        }
    )


@pytest.fixture
def replica(settings: Settings) -> Replica:
    """Starts a replica."""
    return partial(_run, settings)


@pytest_asyncio.fixture(loop_scope="session")
async def scheduler(replica: Replica) -> AsyncIterator[Scheduler]:
    """One replica."""
    async with replica() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def jetstream(settings: Settings) -> AsyncIterator[JetStream]:
    """A connection of the test's own."""
    async with open_jetstream(settings, "test") as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="session")
async def database(settings: Settings, scheduler: Scheduler) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The scheduler's schema."""
    connection = await asyncpg.connect(
        settings.postgres_dsn.get_secret_value(), server_settings={"search_path": SERVICE}
    )
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def _run(settings: Settings) -> AsyncIterator[Scheduler]:
    runtime = Runtime()
    running = asyncio.create_task(runtime.run(settings, partial(build, settings), SERVICE))

    async def serving() -> bool:
        if running.done():
            running.result()
        return "grpc" in runtime.ports

    try:
        await eventually(serving)
        address = f"127.0.0.1:{runtime.ports['grpc']}"
        async with open_channel(address) as channel:
            yield Scheduler(
                address,
                scheduler_service_pb2_grpc.SchedulerServiceStub(channel),
                scheduler_service_pb2_grpc.WorkerServiceStub(channel),
                runtime,
            )
    finally:
        runtime.stopping.set()
        exit_code = await running
    assert exit_code == 0
