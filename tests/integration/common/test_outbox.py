"""The outbox: what is committed is published, in spite of everything."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from services.common import outbox
from services.common.outbox import OutboxRelay
from services.common.postgres import Pool
from tests.integration.common.conftest import until

pytestmark = pytest.mark.integration


class Broker:
    """Takes messages, unless it is down or the subject is refused."""

    def __init__(self) -> None:
        self.down = False
        self.refused = ""
        self.received: list[tuple[str, bytes, str]] = []

    async def publish(self, subject: str, data: bytes, message_id: str, headers: Mapping[str, str]) -> None:
        if self.down or subject == self.refused:
            message = "no"
            raise ConnectionError(message)
        self.received.append((subject, data, message_id))


@asynccontextmanager
async def relaying(pool: Pool, broker: Broker) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(pool, broker.publish)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def append(pool: Pool, subject: str, data: bytes = b"{}", event_id: uuid.UUID | None = None) -> uuid.UUID:
    async with pool.acquire() as connection:
        return await outbox.append(connection, subject, data, event_id=event_id)


async def nothing_due(pool: Pool) -> bool:
    return not await pool.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")


async def test_a_committed_event_is_published_with_its_id(pool: Pool) -> None:
    broker = Broker()
    async with relaying(pool, broker) as relay:
        event_id = await append(pool, "job.events.completed", b'{"a": 1}')
        relay.wake()
        await until(lambda: nothing_due(pool))
    assert broker.received == [("job.events.completed", b'{"a": 1}', str(event_id))]


async def test_a_rolled_back_event_is_not_published(pool: Pool) -> None:
    broker = Broker()
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await outbox.append(connection, "never", b"{}")
        await transaction.rollback()
    assert await OutboxRelay(pool, broker.publish).publish_due() == 0
    assert broker.received == []


async def test_events_wait_for_a_broker_that_is_away(pool: Pool) -> None:
    broker = Broker()
    broker.down = True
    relay = OutboxRelay(pool, broker.publish)
    await append(pool, "later")
    assert await relay.publish_due() == 1
    assert not await nothing_due(pool)
    broker.down = False
    async with relaying(pool, broker):
        await until(lambda: nothing_due(pool))
    assert [subject for subject, _, _ in broker.received] == ["later"]


async def test_refused_events_do_not_hold_up_the_others(pool: Pool) -> None:
    broker = Broker()
    broker.refused = "bad"
    for _ in range(outbox._BATCH):
        await append(pool, "bad")
    await append(pool, "good")
    relay = OutboxRelay(pool, broker.publish)
    await relay.publish_due()
    await relay.publish_due()
    assert [subject for subject, _, _ in broker.received] == ["good"]


async def test_a_row_that_commits_late_is_not_skipped(pool: Pool) -> None:
    broker = Broker()
    relay = OutboxRelay(pool, broker.publish)
    async with pool.acquire() as slow, slow.transaction():
        await outbox.append(slow, "began first", b"{}")
        await append(pool, "committed first")
        await relay.publish_due()
    await relay.publish_due()
    assert [subject for subject, _, _ in broker.received] == ["committed first", "began first"]


async def test_two_relays_share_the_work_without_doubles(pool: Pool) -> None:
    broker = Broker()
    for number in range(250):
        await append(pool, f"event.{number}")
    async with relaying(pool, broker), relaying(pool, broker):
        await until(lambda: nothing_due(pool))
    assert sorted(subject for subject, _, _ in broker.received) == sorted(f"event.{n}" for n in range(250))


async def test_appending_an_event_again_changes_nothing(pool: Pool) -> None:
    event_id = await append(pool, "once")
    assert await append(pool, "again", event_id=event_id) == event_id
    assert await pool.fetchval("SELECT array_agg(subject) FROM outbox") == ["once"]
