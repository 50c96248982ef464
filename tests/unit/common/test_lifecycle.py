"""Periodic tasks, and their end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.common.lifecycle import Runtime, every
from services.common.settings import ServiceSettings
from services.common.telemetry.metrics import BACKGROUND_ERRORS
from tests.support.waiting import eventually


async def test_a_failing_round_is_counted_and_the_next_one_comes() -> None:
    rounds = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            third.set()
        message = "a defect"
        raise RuntimeError(message)

    task = asyncio.create_task(every(0.001, work, name="test-every"))
    await asyncio.wait_for(third.wait(), 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert BACKGROUND_ERRORS.labels("test-every")._value.get() >= 2


async def test_a_swallowed_cancellation_does_not_keep_a_service_from_stopping() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    runtime = Runtime()
    runtime.background("stubborn", stubborn)
    running = asyncio.create_task(runtime.run(ServiceSettings(), _built, "test"))
    await eventually(lambda: _serves(runtime))
    runtime.stopping.set()
    assert await asyncio.wait_for(running, 15) == 0
    assert swallowed == 2


async def _built(runtime: Runtime) -> None:
    """Nothing is needed."""


async def _serves(runtime: Runtime) -> bool:
    return "grpc" in runtime.ports
