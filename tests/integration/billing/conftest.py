"""Billing on real PostgreSQL and NATS, with a fake orchestrator behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.servers.nats import Nats
from kinemesh.billing.v1 import billing_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from services.billing.app import SERVICE, build
from services.billing.settings import Settings
from services.common.errors import NotFound
from services.common.jetstream import JetStream, open_jetstream
from services.common.lifecycle import Runtime
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer, RpcService
from tests.support.waiting import eventually

_CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogue.yaml"


class FakeJobs(job_service_pb2_grpc.JobServiceServicer):
    """Knows the jobs it is told."""

    def __init__(self) -> None:
        self.jobs: dict[str, job_service_pb2.Job] = {}

    async def GetJob(self, request: job_service_pb2.GetJobRequest, context: Any) -> job_service_pb2.GetJobResponse:
        if request.request_id not in self.jobs:
            raise NotFound("RESOURCE_NOT_FOUND", "no such job")
        return job_service_pb2.GetJobResponse(job=self.jobs[request.request_id])


@dataclass(frozen=True)
class Billing:
    """A running billing service and ways into it."""

    billing: billing_service_pb2_grpc.BillingServiceAsyncStub
    accounts: billing_service_pb2_grpc.AccountServiceAsyncStub
    database: asyncpg.Pool[asyncpg.Record]
    jetstream: JetStream
    jobs: FakeJobs


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
    """Ten initial credits; old holds are looked at at once."""
    return Settings.model_validate(
        {
            "postgres_dsn": postgres_dsn,
            "nats_url": nats.url,
            "orchestrator_address": jobs[1],
            "catalogue_path": _CATALOGUE,
            "initial_credits": "10",
            "reconcile_interval_s": 0.2,
            "reconcile_after_s": 0,
            "shutdown_grace_s": 0.5,
        }
    )


@pytest_asyncio.fixture(loop_scope="session")
async def billing(settings: Settings, jobs: tuple[FakeJobs, str]) -> AsyncIterator[Billing]:
    """The service, run in this process."""
    runtime = Runtime()
    running = asyncio.create_task(runtime.run(settings, partial(build, settings), SERVICE))
    try:
        await eventually(lambda: _serving(runtime, running))
        async with contextlib.AsyncExitStack() as stack:
            channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{runtime.ports['grpc']}"))
            pool = await asyncpg.create_pool(
                settings.postgres_dsn.get_secret_value(), min_size=1, server_settings={"search_path": SERVICE}
            )
            yield Billing(
                billing_service_pb2_grpc.BillingServiceStub(channel),
                billing_service_pb2_grpc.AccountServiceStub(channel),
                await stack.enter_async_context(pool),
                await stack.enter_async_context(open_jetstream(settings, "test")),
                jobs[0],
            )
    finally:
        runtime.stopping.set()
        exit_code = await running
    assert exit_code == 0


async def _serving(runtime: Runtime, running: asyncio.Task[int]) -> bool:
    if running.done():
        running.result()
    return "grpc" in runtime.ports
