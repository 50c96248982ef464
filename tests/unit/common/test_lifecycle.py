"""Periodic tasks."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.common.lifecycle import every
from services.common.telemetry.metrics import BACKGROUND_ERRORS


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
