"""What users see of their webhooks, and their wish to have one again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool
    from services.orchestrator.store.listing import Cursor
    from services.orchestrator.store.webhooks import State

_COLUMNS = """delivery_id, d.request_id, event, state, d.attempts, last_result, next_attempt_at, d.created_at, ended_at,
    webhook_url AS url"""
_OF_USER = "webhook_deliveries d JOIN video_generations v USING (request_id) WHERE v.user_id = $1"
_FIND = f"SELECT {_COLUMNS} FROM {_OF_USER} AND request_id = $2"  # noqa: S608 - constants
_LIST = f"""
SELECT {_COLUMNS} FROM {_OF_USER} AND ($2::text IS NULL OR state = $2)
    AND ($3::timestamptz IS NULL OR (d.created_at, d.request_id) < ($3, $4::uuid))
ORDER BY d.created_at DESC, d.request_id DESC LIMIT $5
"""  # noqa: S608 - constants
_ATTEMPTS = """
SELECT attempt, started_at, duration_ms, result FROM webhook_attempts
WHERE delivery_id = $1 ORDER BY attempt DESC LIMIT $2
"""
_REPLAY = """
UPDATE webhook_deliveries SET state = 'PENDING', tries = 0, ended_at = NULL, next_attempt_at = clock_timestamp()
WHERE delivery_id = $1 AND (held_until IS NULL OR held_until < clock_timestamp())
"""


@dataclass(frozen=True)
class Webhook:
    """A row of `webhook_deliveries` with its address."""

    delivery_id: UUID
    request_id: UUID
    event: str
    state: State
    attempts: int
    last_result: str | None
    next_attempt_at: datetime
    created_at: datetime
    ended_at: datetime | None
    url: str


@dataclass(frozen=True)
class Attempt:
    """A row of `webhook_attempts`."""

    attempt: int
    started_at: datetime
    duration_ms: int
    result: str


async def find(source: Pool | Connection, user_id: str, request_id: UUID) -> Webhook | None:
    """Reads the webhook of a user's video."""
    row = await source.fetchrow(_FIND, user_id, request_id)
    return None if row is None else Webhook(**row)


async def of_user(pool: Pool, user_id: str, state: State | None, limit: int, after: Cursor | None) -> list[Webhook]:
    """Reads a user's webhooks, newest first, after a cursor."""
    place = (after.created_at, after.request_id) if after else (None, None)
    return [Webhook(**row) for row in await pool.fetch(_LIST, user_id, state, *place, limit)]


async def attempts(pool: Pool, delivery_id: UUID, limit: int) -> list[Attempt]:
    """Reads the attempts of a delivery, newest first."""
    return [Attempt(**row) for row in await pool.fetch(_ATTEMPTS, delivery_id, limit)]


async def replay(connection: Connection, delivery_id: UUID) -> None:
    """Begins the schedule again, unless an attempt is under way."""
    await connection.execute(_REPLAY, delivery_id)
