"""Watchers' queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest

from services.common.errors import ResourceExhausted
from services.orchestrator.domain.status import Status
from services.orchestrator.fanout import Hub, LiveFeed
from tests.unit.orchestrator.builders import make_job


class Broker:
    """Core NATS, in memory."""

    def __init__(self) -> None:
        self.deliver: Any = None

    async def subscribe(self, subject: str, cb: Any) -> Broker:
        self.deliver = cb
        return self

    async def publish(self, subject: str, data: bytes) -> None:
        await self.deliver(type("Msg", (), {"subject": subject, "data": data}))

    async def unsubscribe(self) -> None: ...


@asynccontextmanager
async def running_hub() -> AsyncIterator[tuple[Hub[str], Broker]]:
    hub, broker = Hub[str](silence_s=0.05), Broker()
    running = asyncio.create_task(hub.run(cast("Any", broker)))
    await asyncio.sleep(0)
    yield hub, broker
    hub.stop()
    await running


async def test_a_slow_reader_is_dropped_alone() -> None:
    job = make_job(Status.GENERATING)
    async with running_hub() as (hub, broker):
        feed = LiveFeed(cast("Any", broker))
        with hub.watch(job.request_id) as slow, hub.watch(job.request_id) as quick:
            for _ in range(200):
                await feed.publish_progress(job, "worker-1")
                assert await quick.next() is not None
            with pytest.raises(ResourceExhausted) as dropped:
                await slow.next()
    assert dropped.value.reason == "RATE_LIMITED"


async def test_only_the_watched_job_s_news_arrive_and_nonsense_is_ignored() -> None:
    job = make_job(Status.GENERATING)
    async with running_hub() as (hub, broker):
        with hub.watch(job.request_id) as watcher:
            await LiveFeed(cast("Any", broker)).publish_state(make_job(Status.GENERATING, request_id=uuid4()))
            await broker.publish(f"job.progress.{job.request_id}", b"nonsense")
            assert await watcher.next() is None


async def test_all_watchers_learn_by_one_look_and_each_revision_by_its_own() -> None:
    job, looks = make_job(Status.GENERATING), []

    async def look(since: int) -> str:
        looks.append(since)
        return f"since {since}"

    async with running_hub() as (hub, broker):
        with hub.watch(job.request_id) as one, hub.watch(job.request_id) as other:
            await LiveFeed(cast("Any", broker)).publish_state(job)
            news = [await one.next(), await other.next()]
            told = [await it.learn(since, partial(look, since)) for it in news if it for since in (1, 2)]
    assert told == ["since 1", "since 2", "since 1", "since 2"]
    assert looks == [1, 2]
