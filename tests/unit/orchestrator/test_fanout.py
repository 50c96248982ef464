"""Watchers' queues."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from services.common.errors import ResourceExhausted, Unavailable
from services.orchestrator.domain.status import Status
from services.orchestrator.events import LiveEvent
from services.orchestrator.fanout import Hub, LiveFeed
from services.orchestrator.usecases.watch import Position
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


async def running_hub() -> tuple[Hub, Broker, Any]:
    hub, broker = Hub(), Broker()
    running = hub.run(cast("Any", broker))
    running.send(None)
    return hub, broker, running


async def test_a_slow_reader_is_dropped_alone() -> None:
    hub, broker, _running = await running_hub()
    feed, job = LiveFeed(cast("Any", broker)), make_job(Status.GENERATING)
    with hub.watch(job.request_id) as slow, hub.watch(job.request_id) as quick:
        for _ in range(200):
            await feed.publish_progress(job, "worker-1")
            assert isinstance(await quick.next(1), LiveEvent)
        with pytest.raises(ResourceExhausted) as dropped:
            await slow.next(1)
    assert dropped.value.reason == "RATE_LIMITED"


async def test_only_the_watched_job_s_news_arrive_and_nonsense_is_ignored() -> None:
    hub, broker, _running = await running_hub()
    job = make_job(Status.GENERATING)
    with hub.watch(job.request_id) as watcher:
        await LiveFeed(cast("Any", broker)).publish_state(make_job(Status.GENERATING, request_id=uuid4()))
        await broker.publish(f"job.progress.{job.request_id}", b"nonsense")
        assert await watcher.next(0.01) is None


async def test_a_broker_that_is_down_disturbs_nobody() -> None:
    class Down(Broker):
        async def publish(self, subject: str, data: bytes) -> None:
            raise ConnectionError

    await LiveFeed(cast("Any", Down())).publish_state(make_job(Status.GENERATING))


async def test_watchers_end_when_the_service_stops() -> None:
    hub, _broker, running = await running_hub()
    with hub.watch(UUID(int=5)) as watcher:
        hub.stop()
        with pytest.raises(StopIteration):
            running.send(None)
        with pytest.raises(Unavailable):
            await watcher.next(1)


def test_event_ids_order_and_resume() -> None:
    assert Position.parse("7-12") == Position(7, 12)
    assert Position.parse(str(Position(3, 4))) == Position(3, 4)
    assert Position(2, 9) < Position(3, 0)
    for nonsense in ("", "7", "7-", "-1-2", "7-12-1", "9" * 40 + "-1", "7-\uff11"):
        assert Position.parse(nonsense) is None
