"""Webhooks that are to be delivered, and what became of the attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool

State: TypeAlias = Literal["PENDING", "DELIVERED", "GIVEN_UP"]

# Whoever takes a delivery holds it for a while; if he dies, it is tried again: at least once. Of each endpoint (scheme,
# host and port) only as many are taken as its limits leave, counted over all replicas.
_TAKE = """
WITH places AS (
    SELECT delivery_id, state, next_attempt_at, held_until, last_started_at,
        lower(coalesce(substring(webhook_url FROM '^[^/]*//[^/?#]*'), '')) AS endpoint
    FROM webhook_deliveries JOIN video_generations USING (request_id)
    WHERE (state = 'PENDING' AND next_attempt_at <= statement_timestamp())
        OR held_until > statement_timestamp() OR last_started_at > statement_timestamp() - interval '1 s'
), load AS (
    SELECT endpoint, count(*) FILTER (WHERE held_until > statement_timestamp()) AS calls,
        count(*) FILTER (WHERE last_started_at > statement_timestamp() - interval '1 s') AS begun
    FROM places GROUP BY endpoint
), due AS (
    SELECT delivery_id, least($3 - calls, $4 - begun) AS room,
        row_number() OVER (PARTITION BY endpoint ORDER BY next_attempt_at) AS place
    FROM places JOIN load USING (endpoint)
    WHERE state = 'PENDING' AND next_attempt_at <= statement_timestamp()
), taken AS (
    SELECT delivery_id FROM webhook_deliveries JOIN due USING (delivery_id)
    WHERE place <= room AND state = 'PENDING' AND next_attempt_at <= statement_timestamp()
    ORDER BY next_attempt_at LIMIT $2 FOR UPDATE OF webhook_deliveries SKIP LOCKED
)
UPDATE webhook_deliveries d SET attempts = attempts + 1, tries = tries + 1, last_started_at = clock_timestamp(),
    held_until = clock_timestamp() + make_interval(secs => $1),
    next_attempt_at = clock_timestamp() + make_interval(secs => $1)
FROM taken WHERE d.delivery_id = taken.delivery_id
RETURNING d.delivery_id, d.request_id, d.event, d.attempts, d.tries
"""
# A sender that stood still may find that another has tried meanwhile: what he saw is noted, what is next is not his.
_LOG = """
INSERT INTO webhook_attempts (delivery_id, attempt, started_at, duration_ms, result)
VALUES ($1, $2, clock_timestamp() - make_interval(secs => $3 / 1000.0), $3, $4) ON CONFLICT DO NOTHING
"""
_RETRY = """
UPDATE webhook_deliveries SET last_result = $3, held_until = NULL,
    next_attempt_at = clock_timestamp() + make_interval(secs => $4)
WHERE delivery_id = $1 AND attempts = $2 AND state = 'PENDING'
"""
_END = """
UPDATE webhook_deliveries SET state = $3, last_result = $4, held_until = NULL, ended_at = clock_timestamp()
WHERE delivery_id = $1 AND attempts = $2 AND state = 'PENDING'
"""
_URL = "sha256(convert_to($2, 'UTF8'))"
_NOTE_GONE = f"INSERT INTO webhook_gone (user_id, url_sha256) VALUES ($1, {_URL}) ON CONFLICT DO NOTHING"  # noqa: S608
_IS_GONE = f"SELECT EXISTS (SELECT FROM webhook_gone WHERE user_id = $1 AND url_sha256 = {_URL})"  # noqa: S608
_FORGET_GONE = f"DELETE FROM webhook_gone WHERE user_id = $1 AND url_sha256 = {_URL}"  # noqa: S608


@dataclass(frozen=True)
class Limits:
    """How much is sent at once."""

    at_once: int
    """Attempts of this process under way."""
    endpoint_at_once: int
    """Attempts to one endpoint under way, over all replicas."""
    endpoint_per_s: int
    """Attempts to one endpoint begun within a second, over all replicas."""


@dataclass(frozen=True)
class Delivery:
    """A webhook that is due."""

    delivery_id: UUID
    request_id: UUID
    event: str
    attempts: int
    """Including the one about to be made."""
    tries: int
    """The same since the job's end or the last replay: where in the schedule it is."""


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt."""

    result: str
    """HTTP status, or the kind of failure."""
    duration_ms: int = 0


async def take_due(pool: Pool, hold_s: float, limit: int, limits: Limits) -> Sequence[Delivery]:
    """Takes at most `limit` deliveries that are due, within the limits of each endpoint."""
    rows = await pool.fetch(_TAKE, hold_s, limit, limits.endpoint_at_once, limits.endpoint_per_s)
    return [Delivery(**row) for row in rows]


async def retry(connection: Connection, delivery: Delivery, outcome: Outcome, delay_s: float) -> None:
    """Notes an attempt and plans the next."""
    await _log(connection, delivery, outcome)
    await connection.execute(_RETRY, delivery.delivery_id, delivery.attempts, outcome.result[:64], delay_s)


async def end(
    connection: Connection, delivery: Delivery, outcome: Outcome, state: Literal["DELIVERED", "GIVEN_UP"]
) -> None:
    """Notes an attempt after which no further one will be made."""
    await _log(connection, delivery, outcome)
    await connection.execute(_END, delivery.delivery_id, delivery.attempts, state, outcome.result[:64])


async def note_gone(connection: Connection, user_id: str, url: str) -> None:
    """Notes that an address does not want to be called any more."""
    await connection.execute(_NOTE_GONE, user_id, url)


async def is_gone(pool: Pool, user_id: str, url: str) -> bool:
    """Whether an address has asked not to be called any more."""
    return bool(await pool.fetchval(_IS_GONE, user_id, url))


async def forget_gone(connection: Connection, user_id: str, url: str) -> None:
    """Lets an address be called again, at its user's wish."""
    await connection.execute(_FORGET_GONE, user_id, url)


async def seconds_overdue(pool: Pool) -> float:
    """Age of the delivery that has been due for longest, seconds."""
    age: float = await pool.fetchval(
        """SELECT coalesce(extract(epoch FROM statement_timestamp() - min(next_attempt_at)), 0)::float8
        FROM webhook_deliveries WHERE state = 'PENDING' AND next_attempt_at < statement_timestamp()"""
    )
    return age


async def _log(connection: Connection, delivery: Delivery, outcome: Outcome) -> None:
    await connection.execute(_LOG, delivery.delivery_id, delivery.attempts, outcome.duration_ms, outcome.result[:64])
