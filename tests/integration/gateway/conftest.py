"""The gateway before fakes of the public services, once for all its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from tests.integration.gateway.services import Videos, public_server
from tests.support import gateway as support

MAX_BODY_BYTES = 64 * 1024
REQUESTS_PER_MINUTE = 300


@dataclass(frozen=True)
class Gateway(support.Gateway):
    """A running gateway and the service behind it."""

    videos: Videos


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Envoy, the edge app and the fakes."""
    videos = Videos()
    settings = {
        "cors_origins": ("https://app.test",),
        "max_body_bytes": MAX_BODY_BYTES,
        "stream_idle_timeout_s": 2,
        "requests_per_minute": REQUESTS_PER_MINUTE,
    }
    directory = tmp_path_factory.mktemp("gateway")
    async with support.running_gateway(directory, public_server(videos), **settings) as running:
        yield Gateway(**vars(running), videos=videos)
        # A script that fails is skipped, and what it guards is open.
        assert "[error][lua]" not in running.log.read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the public listener."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=10) as client:
        yield client
