"""The orchestrator on real PostgreSQL, NATS and S3, with fakes of the services it calls."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from deploy.local.servers.postgres import Postgres
from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from kinemesh.safety.v1 import safety_service_pb2, safety_service_pb2_grpc
from kinemesh.video.v1 import video_service_pb2_grpc, webhook_service_pb2_grpc
from services.common.jetstream import open_jetstream
from services.common.lifecycle import Runtime
from services.common.postgres import open_pool
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer, RpcService
from services.common.storage import open_object_store
from services.orchestrator.app import SERVICE, build
from services.orchestrator.settings import Settings
from tests.integration.orchestrator.driver import Driver
from tests.integration.orchestrator.fakes import FakeBilling, FakeSafety
from tests.support.waiting import eventually

_CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogue.yaml"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fakes() -> AsyncIterator[tuple[FakeSafety, FakeBilling, str]]:
    """The services behind the orchestrator, and their address."""
    safety, billing = FakeSafety(), FakeBilling()  # type: ignore[abstract]
    server = RpcServer(
        [
            RpcService(
                safety_service_pb2.DESCRIPTOR.services_by_name["SafetyService"],
                safety_service_pb2_grpc.add_SafetyServiceServicer_to_server,
                safety,
            ),
            RpcService(
                billing_service_pb2.DESCRIPTOR.services_by_name["BillingService"],
                billing_service_pb2_grpc.add_BillingServiceServicer_to_server,
                billing,
            ),
        ]
    )
    port = await server.start("127.0.0.1:0")
    yield safety, billing, f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture(scope="module")
def overrides() -> dict[str, Any]:
    """Settings that a module changes."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def settings(
    postgres: Postgres,
    nats: Nats,
    objectstore: ObjectStoreServer,
    fakes: tuple[FakeSafety, FakeBilling, str],
    overrides: dict[str, Any],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Settings]:
    """A database of the module's own, and everything quick."""
    database = f"orchestrator_{Path(request.node.name).stem}"
    admin = await asyncpg.connect(postgres.dsn())
    await admin.execute(f"CREATE DATABASE {database}")
    yield Settings.model_validate(
        {
            "postgres_dsn": postgres.dsn(database=database),
            "nats_url": nats.url,
            "s3_endpoint_url": objectstore.endpoint_url,
            "s3_public_endpoint_url": "https://media.example.com",
            "s3_access_key": objectstore.access_key,
            "s3_secret_key": objectstore.secret_key,
            "s3_bucket_media": "orchestrator-media",
            "catalogue_path": _CATALOGUE,
            "public_url": "https://api.example.com",
            "safety_address": fakes[2],
            "billing_address": fakes[2],
            "webhook_master_secret": base64.b64encode(b"m" * 32).decode(),
            "reap_interval_s": 0.1,
            "sweep_interval_s": 0.2,
            "sweep_quiet_s": 0.5,
            "stream_heartbeat_s": 0.5,
            "webhook_poll_s": 0.1,
            "shutdown_grace_s": 0.5,
            **overrides,
        }
    )
    await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
    await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def driver(settings: Settings, fakes: tuple[FakeSafety, FakeBilling, str]) -> AsyncIterator[Driver]:
    """The service, run in this process."""
    async with driving(settings, fakes) as driver:
        yield driver


@contextlib.asynccontextmanager
async def driving(settings: Settings, fakes: tuple[FakeSafety, FakeBilling, str]) -> AsyncIterator[Driver]:
    """Runs one replica in this process."""
    runtime = Runtime()
    running = asyncio.create_task(runtime.run(settings, partial(build, settings), SERVICE))
    async with contextlib.AsyncExitStack() as stack:
        await eventually(lambda: _serving(runtime, running), timeout_s=60)
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{runtime.ports['grpc']}", retry=False))
        store = await stack.enter_async_context(open_object_store(settings))
        await store.ensure_buckets(settings.s3_bucket_media)
        yield Driver(
            video_service_pb2_grpc.VideoServiceStub(channel),
            webhook_service_pb2_grpc.WebhookServiceStub(channel),
            job_service_pb2_grpc.JobServiceStub(channel),
            await stack.enter_async_context(open_pool(settings, SERVICE)),
            await stack.enter_async_context(open_jetstream(settings, "test")),
            store,
            fakes[0],
            fakes[1],
            settings.s3_bucket_media,
        )
    runtime.stopping.set()
    assert await running == 0


async def _serving(runtime: Runtime, running: asyncio.Task[int]) -> bool:
    if running.done():
        running.result()
    return "grpc" in runtime.ports
