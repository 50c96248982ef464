"""What these tests share: settings for the session's servers, and a migrated schema of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from services.common.jetstream import JetStream, open_jetstream
from services.common.migrations import migrate
from services.common.postgres import Pool, open_pool
from services.common.settings import NatsSettings, PostgresSettings, S3Settings
from services.common.storage import ObjectStore, open_object_store

SCHEMA = "notes"
VERSIONS = Path(__file__).parent / "versions"


async def until(condition: Callable[[], Awaitable[bool]], deadline_s: float = 20.0) -> None:
    """Asks again and again until it is so."""
    async with asyncio.timeout(deadline_s):
        while not await condition():  # noqa: ASYNC110 - the state is in another process
            await asyncio.sleep(0.02)


@pytest.fixture
def postgres_settings(postgres_dsn: str) -> PostgresSettings:
    return PostgresSettings(postgres_dsn=SecretStr(postgres_dsn))


@pytest.fixture
async def pool(postgres_settings: PostgresSettings) -> AsyncIterator[Pool]:
    async with open_pool(postgres_settings, SCHEMA) as opened:
        await migrate(postgres_settings, SCHEMA, VERSIONS)
        yield opened


@pytest.fixture
async def jetstream(nats: Nats) -> AsyncIterator[JetStream]:
    async with open_jetstream(NatsSettings(nats_url=SecretStr(nats.url)), "test") as opened:
        yield opened


@pytest.fixture
async def store(objectstore: ObjectStoreServer, bucket_prefix: str) -> AsyncIterator[ObjectStore]:
    settings = S3Settings(
        s3_endpoint_url=objectstore.endpoint_url,
        s3_access_key=SecretStr(objectstore.access_key),
        s3_secret_key=SecretStr(objectstore.secret_key),
        s3_bucket_media=f"{bucket_prefix}media",
    )
    async with open_object_store(settings) as opened:
        await opened.ensure_buckets(settings.s3_bucket_media)
        yield opened


@pytest.fixture
def bucket(bucket_prefix: str) -> str:
    return f"{bucket_prefix}media"
