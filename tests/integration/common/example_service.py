"""A whole service for the tests of lifecycle: `python -m tests.integration.common.example_service`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from services.common.lifecycle import Runtime, run_service
from services.common.settings import ServiceSettings


class Settings(ServiceSettings):
    """How it should misbehave."""

    crash: bool = False
    """The background task dies."""
    slow_start: bool = False
    """Building never ends."""


@asynccontextmanager
async def resource() -> AsyncIterator[None]:
    """Tells when it is closed."""
    try:
        yield
    finally:
        print("closed", flush=True)  # noqa: T201


async def background(settings: Settings) -> None:
    """Runs for ever, or dies."""
    if settings.crash:
        message = "a defect"
        raise RuntimeError(message)
    await asyncio.Event().wait()


async def build(settings: Settings, runtime: Runtime) -> None:
    """Opens the resource and starts the task."""
    await runtime.enter(resource())
    if settings.slow_start:
        print("building", flush=True)  # noqa: T201
        await asyncio.Event().wait()
    draining = asyncio.Event()

    async def finish() -> None:
        await draining.wait()
        print("finished", flush=True)  # noqa: T201

    runtime.background("task", partial(background, settings))
    runtime.background("draining", finish, stop=draining.set)


if __name__ == "__main__":
    main_settings = Settings()
    sys.exit(run_service("example", main_settings, partial(build, main_settings)))
