"""A service whose database is gone says so, and is back when the database is."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from deploy.local.ports import free_port
from deploy.local.process import running
from deploy.local.servers.postgres import Postgres
from services.common.lifecycle import Runtime
from services.common.postgres_probe import open_probe
from services.common.rpc.client import open_channel
from services.common.settings import PostgresSettings, ServiceSettings
from tests.integration.common.conftest import until

pytestmark = pytest.mark.integration

Health = health_pb2_grpc.HealthStub


class Settings(PostgresSettings, ServiceSettings):
    """Of a service with a database."""


async def build(settings: Settings, runtime: Runtime) -> None:
    runtime.depends("postgres", (await runtime.enter(open_probe(settings))).ask)


async def test_health_follows_the_database(tmp_path: Path) -> None:
    server = Postgres(directory=tmp_path / "data", log=tmp_path / "log", port=free_port(), password="p")
    settings = Settings(postgres_dsn=SecretStr(server.dsn()), dependency_patience_s=1, shutdown_grace_s=0.5)
    runtime = Runtime()
    async with running(server.program()):
        service = asyncio.create_task(runtime.run(settings, partial(build, settings), "example"))
        await until(lambda: _serves(runtime))
        async with open_channel(f"127.0.0.1:{runtime.ports['grpc']}") as channel:
            health = Health(channel)  # type: ignore[no-untyped-call]
            await until(lambda: _is(health, "", "SERVING"))
            await _over_a_gap(server, health)
    runtime.stopping.set()
    assert await service == 0


async def _over_a_gap(server: Postgres, health: Health) -> None:
    await asyncio.create_subprocess_exec("kill", "-KILL", _postmaster(server))
    for name in ("", "postgres"):
        await until(lambda name=name: _is(health, name, "NOT_SERVING"))  # type: ignore[misc]
    async with running(server.program()):
        for name in ("", "postgres"):
            await until(lambda name=name: _is(health, name, "SERVING"))  # type: ignore[misc]


def _postmaster(server: Postgres) -> str:
    return next(server.directory.rglob("postmaster.pid")).read_text().split()[0]


async def _serves(runtime: Runtime) -> bool:
    return "grpc" in runtime.ports


async def _is(health: Health, name: str, status: str) -> bool:
    answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
    return bool(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) == status)
