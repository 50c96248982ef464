"""The guards matter, and the checker sees it when one is gone: each test here takes one away and expects violations."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore
from deploy.local.servers.postgres import Postgres
from services.billing import store
from services.billing.domain import ReservationState
from services.billing.events import CONSUMER
from services.common import inbox
from services.common.jetstream import JetStream, open_jetstream
from services.common.outbox import OutboxRelay
from services.common.streams import JOB_EVENTS, QUEUED_JOBS
from services.orchestrator.sweeper import Sweeper
from services.orchestrator.usecases import engine, progress
from tests.chaos.core import Core, Servers, running_core
from tests.chaos.history.check import Violation
from tests.chaos.pipeline import Pipeline, working
from tests.chaos.receiver import Eavesdropper, eavesdropping
from tests.chaos.verdict import verdict
from tests.support.servers import empty_database
from tests.support.waiting import eventually

VIDEOS = 12

# Numbers the revisions, as history and outbox need it, and refuses nothing.
_NO_GUARD = """
CREATE OR REPLACE FUNCTION orchestrator.guard_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status OR NEW.epoch <> OLD.epoch THEN
        NEW.rev := OLD.rev + 1;
        NEW.last_event_id := gen_random_uuid();
    END IF;
    RETURN NEW;
END $$
"""
_NO_CONSTRAINTS = """
ALTER TABLE billing.ledger_transactions DROP CONSTRAINT ledger_transactions_request_id_kind_key;
ALTER TABLE billing.accounts DROP CONSTRAINT accounts_held_check;
"""
# What a service with a bug might send: a finished job goes back to its delivery.
_REVIVE = """
UPDATE orchestrator.video_generations SET status = 'UPLOADING', completed_at = NULL, credits_used = NULL,
    credits_refunded = NULL, cause = 'a bug' WHERE user_id = $1 AND status = 'COMPLETED'
"""


class Watched:
    """A core with one user's jobs on the way."""

    def __init__(self, core: Core, ear: Eavesdropper, pipeline: Pipeline, name: str) -> None:
        self.core = core
        self.pipeline = pipeline
        self.user = core.user(name)
        self._ear = ear

    async def ask(self) -> None:
        """Has all videos accepted."""
        await self.core.grant(self.user.name, "100")
        await asyncio.gather(*(self.user.create(str(uuid.uuid4()), seed=number) for number in range(VIDEOS)))

    async def violated(self, within_s: float = 30) -> set[str]:
        """The invariants that do not hold, once nothing goes on or the time is up."""
        return {violation.invariant for violation in await self.verdict(within_s)}

    async def verdict(self, within_s: float = 30) -> list[Violation]:
        """What is wrong."""
        return await verdict(self.core, [self.user], self._ear, within_s=within_s)


@pytest_asyncio.fixture(loop_scope="session")
async def servers(postgres: Postgres, nats: Nats, objectstore: ObjectStore) -> AsyncIterator[Servers]:
    """An empty database."""
    async with empty_database(postgres) as dsn:
        yield Servers(dsn, nats, objectstore)


@asynccontextmanager
async def watched(servers: Servers, *, zombies: float = 0.0, listening: bool = True) -> AsyncIterator[Watched]:
    """Runs the core and those who work for it; workers who do not listen learn of no job."""
    async with (
        running_core(servers) as core,
        eavesdropping(servers.nats.url) as ear,
        working(core, seed=3, zombies=zombies, listening=listening) as pipeline,
    ):
        yield Watched(core, ear, pipeline, f"user-{uuid.uuid4().hex[:8]}")


async def execute(servers: Servers, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(servers.dsn, server_settings={"search_path": "orchestrator"})
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


@pytest.mark.long
async def test_unharmed_the_core_is_sound(servers: Servers) -> None:
    async with watched(servers, zombies=0.5) as jobs:
        await jobs.ask()
        assert await jobs.verdict(60) == []
        assert jobs.pipeline.fenced > 0, "no zombie came back"


async def test_without_the_epoch_guard_a_zombie_commits(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engine, progress):
        monkeypatch.setattr(module, "require_owner", lambda job, epoch: None)
    async with watched(servers, zombies=0.5) as jobs:
        await jobs.ask()
        assert "I6" in await jobs.violated()


@pytest.mark.long
async def test_with_the_trigger_not_even_a_bug_revives_a_job(servers: Servers) -> None:
    async with watched(servers) as jobs:
        await jobs.ask()
        assert await jobs.verdict(60) == []
        with pytest.raises(asyncpg.PostgresError, match="illegal transition"):
            await execute(servers, _REVIVE, jobs.user.name)
        assert await jobs.verdict() == []


@pytest.mark.long
async def test_without_the_trigger_a_bug_revives_a_job(servers: Servers) -> None:
    async with watched(servers) as jobs:
        await jobs.ask()
        assert await jobs.verdict(60) == []
        await execute(servers, _NO_GUARD)
        await execute(servers, _REVIVE, jobs.user.name)
        assert {"I1", "I2", "I3"} <= await jobs.violated(within_s=0.1)


async def _always_first(connection: Any, consumer: str, message_id: str) -> bool:
    return True


async def test_without_the_inbox_it_is_noticed(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "once", _always_first)
    async with watched(servers) as jobs:
        await jobs.ask()
        assert await jobs.violated() == {"I8"}


@pytest.mark.long
async def test_without_all_that_stands_behind_the_inbox_money_is_moved_twice(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the inbox stand the hold's state and two constraints of the database: all have to go."""
    monkeypatch.setattr(inbox, "once", _always_first)
    lock = store.lock_reservation

    async def always_held(connection: Any, request_id: uuid.UUID) -> Any:
        known = await lock(connection, request_id)
        return known and type(known)(known.request_id, known.user_id, known.amount, ReservationState.HELD)

    monkeypatch.setattr(store, "lock_reservation", always_held)
    async with watched(servers) as jobs:
        await execute(servers, _NO_CONSTRAINTS)
        await jobs.ask()
        await jobs.verdict(60)
        await _publish_all_events_again(jobs.core)
        assert "I4" in await jobs.violated()


@pytest.mark.long
async def test_published_twice_and_after_a_restart_every_end_is_settled_once(servers: Servers) -> None:
    async with watched(servers) as jobs:
        await jobs.ask()
        await jobs.verdict(60)
        await _publish_all_events_again(jobs.core)
        assert await jobs.verdict() == []


@pytest.mark.long
async def test_messages_that_the_broker_lost_are_swept(servers: Servers) -> None:
    async with watched(servers, listening=False) as jobs:
        await _lose_the_queue(jobs)
        assert await jobs.verdict(60) == []


async def test_without_the_sweep_lost_messages_are_lost_jobs(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sweeper, "run_once", _nothing)
    async with watched(servers, listening=False) as jobs:
        await _lose_the_queue(jobs)
        assert "I1" in await jobs.violated(within_s=5)


@pytest.mark.long
async def test_without_the_relay_nobody_is_told(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutboxRelay, "publish_due", _nothing)
    async with watched(servers) as jobs:
        await jobs.ask()
        assert {"I1", "I8"} <= await jobs.violated(within_s=5)


async def _nothing(self: Any) -> int:
    return 0


async def _lose_the_queue(jobs: Watched) -> None:
    """Has all jobs announced to workers that do not listen yet, and deletes the announcements."""
    await jobs.ask()
    await eventually(partial(_all_queued, jobs), timeout_s=60)
    async with open_jetstream(jobs.core.nats_settings, "test") as jetstream:
        await jetstream.client.jetstream().purge_stream(QUEUED_JOBS.name)
    jobs.pipeline.listening.set()


async def _all_queued(jobs: Watched) -> bool:
    connection = await asyncpg.connect(jobs.core.servers.dsn)
    try:
        waiting = """SELECT count(*) FILTER (WHERE status <> 'QUEUED') = 0
            AND NOT EXISTS (SELECT FROM orchestrator.outbox WHERE published_at IS NULL)
            FROM orchestrator.video_generations WHERE user_id = $1"""
        return bool(await connection.fetchval(waiting, jobs.user.name))
    finally:
        await connection.close()


async def _publish_all_events_again(core: Core) -> None:
    """As a relay does that died before it marked them, when the broker has forgotten their ids, too."""
    connection = await asyncpg.connect(core.servers.dsn)
    try:
        rows = await connection.fetch("SELECT * FROM orchestrator.outbox WHERE subject LIKE 'job.events.%'")
    finally:
        await connection.close()
    async with open_jetstream(core.nats_settings, "test") as jetstream:
        for row in rows:
            await jetstream.publish(row["subject"], row["payload"], str(uuid.uuid4()))
        await eventually(partial(_all_consumed, jetstream))


async def _all_consumed(jetstream: JetStream) -> bool:
    info = await jetstream.client.jetstream().consumer_info(JOB_EVENTS.name, CONSUMER.durable)
    return not (info.num_pending or info.num_ack_pending)
