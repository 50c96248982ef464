"""Runs a service inside the test's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from services.common.lifecycle import Runtime
from services.common.rpc.client import open_channel
from services.common.settings import ServiceSettings
from tests.support.waiting import eventually


@asynccontextmanager
async def running_service(
    service: str, settings: ServiceSettings, build: Callable[[Runtime], Awaitable[None]]
) -> AsyncIterator[grpc.aio.Channel]:
    """Yields a channel to it once it serves, and checks that it stops without error."""
    runtime = Runtime()
    running = asyncio.create_task(runtime.run(settings, build, service))

    async def serving() -> bool:
        if running.done():
            running.result()
        return "grpc" in runtime.ports

    try:
        await eventually(serving)
        async with open_channel(f"127.0.0.1:{runtime.ports['grpc']}", timeout_s=60) as channel:
            yield channel
    finally:
        runtime.stopping.set()
        exit_code = await running
    assert exit_code == 0
