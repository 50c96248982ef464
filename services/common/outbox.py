"""Transactional outbox: events are rows committed with the change they tell of, published afterwards, at least once."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from services.common.faults import race_point
from services.common.postgres import Connection, Pool, transact
from services.common.telemetry.metrics import OUTBOX_EVENTS
from services.common.telemetry.tracing import trace_headers

if TYPE_CHECKING:
    import asyncpg

DDL = """
CREATE TABLE outbox (
    event_id     uuid PRIMARY KEY,
    subject      text NOT NULL,
    payload      bytea NOT NULL,
    headers      jsonb NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     integer NOT NULL DEFAULT 0,
    published_at timestamptz
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
"""
"""For the service's first migration."""

Publish: TypeAlias = Callable[[str, bytes, str, Mapping[str, str]], Awaitable[None]]
"""Publishes (subject, payload, message id, headers); returns once the broker has stored it, else raises."""

_BATCH = 100
_POLL_S = 1.0
_PUBLISH_TIMEOUT_S = 5.0

# Never "id > last seen": transactions commit out of order, and a row seen late would be skipped for ever.
_CLAIM = """
SELECT event_id, subject, payload, headers FROM outbox
WHERE published_at IS NULL AND due_at <= clock_timestamp()
ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_MARK = "UPDATE outbox SET published_at = clock_timestamp() WHERE event_id = ANY($1)"
# Rows the broker refuses step back, so that they cannot starve the others; not far, as the broker may just be down.
_DELAY = """
UPDATE outbox SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => least(5, 1 + attempts))
WHERE event_id = ANY($1)
"""
PUBLISHED_LONG_AGO = "t.published_at < statement_timestamp() - make_interval(secs => $1)"
"""Condition of rows that nobody needs, for `services.common.retention`."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Event:
    event_id: uuid.UUID
    subject: str
    payload: bytes
    headers: Mapping[str, str]


async def append(
    connection: Connection,
    subject: str,
    payload: bytes,
    *,
    event_id: uuid.UUID | None = None,
    headers: Mapping[str, str] | None = None,
) -> uuid.UUID:
    """Adds an event inside the caller's transaction; call `OutboxRelay.wake` after its commit.

    Args:
        connection: Inside the transaction that makes the change.
        subject: NATS subject.
        payload: Body of the message.
        event_id: Message id (`Nats-Msg-Id`) by which consumers recognise repetitions; made when absent. Appending an
            event id that exists already does nothing.
        headers: Further headers; the trace context is added.
    """
    event_id = event_id or uuid.uuid4()
    await connection.execute(
        "INSERT INTO outbox (event_id, subject, payload, headers) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        event_id,
        subject,
        payload,
        {**trace_headers(), **(headers or {})},
    )
    return event_id


class OutboxRelay:
    """Publishes the outbox of the pool's schema. Several replicas may run one each."""

    def __init__(self, pool: Pool, publish: Publish) -> None:
        self._pool = pool
        self._publish = publish
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Tells the relay that rows were committed."""
        self._woken.set()

    async def run(self) -> None:
        """Publishes what is due, for ever. Errors of database or broker are logged and tried again."""
        while True:
            self._woken.clear()
            try:
                while await self.publish_due() == _BATCH:
                    pass
            except Exception as exc:
                logger.warning("outbox round failed", extra={"error": repr(exc)})
            # Not wait_for: of Python 3.11 it swallows a cancellation that comes together with the wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._woken.wait()

    async def publish_due(self) -> int:
        """Publishes one batch; returns how many rows were tried."""
        return await transact(self._pool, self._publish_batch)

    async def _publish_batch(self, connection: Connection) -> int:
        events = [_to_event(row) for row in await connection.fetch(_CLAIM, _BATCH)]
        if not events:
            return 0
        race_point("outbox.before_publish")
        stored = await asyncio.gather(*(self._try_publish(event) for event in events))
        race_point("outbox.before_mark")
        ids = [event.event_id for event in events]
        await connection.execute(_MARK, [i for i, ok in zip(ids, stored, strict=True) if ok])
        if not all(stored):
            await connection.execute(_DELAY, [i for i, ok in zip(ids, stored, strict=True) if not ok])
        return len(events)

    async def _try_publish(self, event: _Event) -> bool:
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                await self._publish(event.subject, event.payload, str(event.event_id), event.headers)
        except Exception as exc:
            OUTBOX_EVENTS.labels("refused").inc()
            logger.warning("event not published yet", extra={"subject": event.subject, "error": repr(exc)})
            return False
        OUTBOX_EVENTS.labels("published").inc()
        return True


def _to_event(row: asyncpg.Record) -> _Event:
    return _Event(row["event_id"], row["subject"], row["payload"], row["headers"])
