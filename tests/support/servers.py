"""Fixtures that start real servers from the installed wheels, on free ports, once each per session.

An area isolates itself cheaply: `postgres_dsn` is a database of its own for each test, `bucket_prefix` begins the names
of its buckets, and `nats` is a server of its own for each test module.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.ports import free_port
from deploy.local.process import running
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore
from deploy.local.servers.postgres import Postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's servers keep their data and logs."""
    return tmp_path_factory.mktemp("servers")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(server_directory: Path) -> AsyncIterator[Postgres]:
    """The session's PostgreSQL; connect as superuser with `postgres.dsn()`."""
    server = Postgres(
        directory=server_directory / "postgres",
        log=server_directory / "postgres.log",
        port=free_port(),
        password="a password/with: signs",
    )
    async with running(server.program()):
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def postgres_dsn(postgres: Postgres) -> AsyncIterator[str]:
    """The superuser's DSN of an empty database for one test, dropped afterwards."""
    async with empty_database(postgres) as dsn:
        yield dsn


@asynccontextmanager
async def empty_database(postgres: Postgres) -> AsyncIterator[str]:
    """Yields the superuser's DSN of an empty database, which is dropped afterwards."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(postgres.dsn())
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield postgres.dsn(database=name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nats(server_directory: Path) -> AsyncIterator[Nats]:
    """An empty NATS server with JetStream for one test module; connect to `nats.url`."""
    name = f"nats-{next(_numbers)}"
    server = Nats(
        directory=server_directory / name,
        log=server_directory / f"{name}.log",
        port=free_port(),
        password="nats-password",
    )
    async with running(server.program()):
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def objectstore(server_directory: Path) -> AsyncIterator[ObjectStore]:
    """The session's S3 object store: `endpoint_url`, `access_key`, `secret_key`."""
    server = ObjectStore(
        directory=server_directory / "objectstore",
        log=server_directory / "objectstore.log",
        port=free_port(),
        access_key="test-access-key",
        secret_key="test-secret-key",
    )
    async with running(server.program()):
        yield server


@pytest.fixture
def bucket_prefix() -> str:
    """What one test's bucket names begin with, so that tests share the object store."""
    return f"test-{next(_numbers)}-"
