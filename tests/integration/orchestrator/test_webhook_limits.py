"""Endpoints are limited, over all replicas: one that is slow takes neither the senders nor its own server down."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.orchestrator.settings import Settings
from tests.integration.orchestrator.conftest import driving
from tests.integration.orchestrator.driver import Driver
from tests.integration.orchestrator.fakes import FakeBilling, FakeSafety
from tests.integration.orchestrator.receiver import Receiver, receiving
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def overrides() -> dict[str, Any]:
    return {
        "webhook_allow_private": True,
        "webhook_retry_delays_s": (60,),
        "webhook_timeout_s": 60,
        "webhook_at_once": 6,
        "webhook_endpoint_at_once": 2,
        "webhook_endpoint_per_s": 4,
        "webhook_poll_s": 0.05,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(settings: Settings, fakes: tuple[FakeSafety, FakeBilling, str]) -> AsyncIterator[tuple[Driver, ...]]:
    async with contextlib.AsyncExitStack() as stack:
        yield tuple([await stack.enter_async_context(driving(settings, fakes)) for _ in range(2)])


@pytest_asyncio.fixture(loop_scope="session")
async def slow() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        receiver.gate("/")
        yield receiver
        receiver.open("/")


@pytest_asyncio.fixture(loop_scope="session")
async def quick() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def test_a_slow_endpoint_has_few_calls_at_once_and_delays_no_other(
    replicas: tuple[Driver, ...], slow: Receiver, quick: Receiver
) -> None:
    """Twelve videos of the slow one would fill both senders."""
    driver = replicas[0]
    for _ in range(12):
        await driver.blocked("slow", webhook_url=f"{slow.url}/")
    await eventually(lambda: _calls(slow, 2))
    for _ in range(3):
        await driver.blocked("quick", webhook_url=f"{quick.url}/")
    await eventually(lambda: _got(quick, 3), timeout_s=15)
    assert slow.most_calls["/"] == 2
    slow.open("/")
    await eventually(lambda: _got(slow, 12), timeout_s=30)
    assert slow.most_calls["/"] == 2


async def test_an_endpoint_gets_no_more_in_a_second_than_its_limit(
    replicas: tuple[Driver, ...], quick: Receiver
) -> None:
    for _ in range(10):
        await replicas[1].blocked("many", webhook_url=f"{quick.url}/")
    await eventually(lambda: _got(quick, 10), timeout_s=30)
    rows = await replicas[0].database.fetch(
        """SELECT last_started_at FROM webhook_deliveries JOIN video_generations USING (request_id)
        WHERE user_id = 'many' ORDER BY last_started_at"""
    )
    begun = [row["last_started_at"] for row in rows]
    assert len(begun) == 10
    assert all(fifth - first >= timedelta(seconds=1) for first, fifth in zip(begun, begun[4:], strict=False))


async def _calls(receiver: Receiver, wanted: int) -> bool:
    return receiver.calls.get("/", 0) >= wanted


async def _got(receiver: Receiver, wanted: int) -> bool:
    return len(receiver.got.get("/", ())) >= wanted
