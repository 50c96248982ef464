"""Webhooks that are to be delivered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

if TYPE_CHECKING:
    from services.common.postgres import Pool

# Whoever takes a delivery has it for a while; if he dies, it is tried again: at least once. Of each endpoint (scheme,
# host and port) one is taken, and none of those that are busy.
_TAKE = """
WITH due AS (
    SELECT delivery_id, next_attempt_at, coalesce(substring(webhook_url FROM '^[^/]*//[^/?#]*'), '') AS endpoint
    FROM webhook_deliveries JOIN video_generations USING (request_id)
    WHERE state = 'PENDING' AND next_attempt_at <= clock_timestamp()
), firsts AS (
    SELECT DISTINCT ON (endpoint) delivery_id, endpoint FROM due WHERE NOT endpoint = ANY($3)
    ORDER BY endpoint, next_attempt_at
), taken AS (
    SELECT delivery_id, endpoint FROM webhook_deliveries JOIN firsts USING (delivery_id)
    WHERE state = 'PENDING' AND next_attempt_at <= clock_timestamp()
    ORDER BY next_attempt_at LIMIT $2 FOR UPDATE OF webhook_deliveries SKIP LOCKED
)
UPDATE webhook_deliveries d SET attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => $1)
FROM taken WHERE d.delivery_id = taken.delivery_id
RETURNING d.delivery_id, d.request_id, d.event, d.attempts, taken.endpoint,
    (SELECT occurred_at FROM job_events e WHERE e.event_id = d.delivery_id) AS occurred_at
"""
_RETRY = """
UPDATE webhook_deliveries SET last_result = $2, next_attempt_at = clock_timestamp() + make_interval(secs => $3)
WHERE delivery_id = $1
"""
_END = """
UPDATE webhook_deliveries SET state = $2, last_result = $3, ended_at = clock_timestamp() WHERE delivery_id = $1
"""


@dataclass(frozen=True)
class Delivery:
    """A webhook that is due."""

    delivery_id: UUID
    request_id: UUID
    event: str
    attempts: int
    """Including the one about to be made."""
    endpoint: str
    """Scheme, host and port."""
    occurred_at: datetime


async def take_due(pool: Pool, hold_s: float, limit: int, busy: Collection[str]) -> Sequence[Delivery]:
    """Takes deliveries that are due, at most one of an endpoint and none of the busy endpoints."""
    return [Delivery(**row) for row in await pool.fetch(_TAKE, hold_s, limit, list(busy))]


async def retry(pool: Pool, delivery_id: UUID, result: str, delay_s: float) -> None:
    """Plans the next attempt."""
    await pool.execute(_RETRY, delivery_id, result[:64], delay_s)


async def end(pool: Pool, delivery_id: UUID, state: Literal["DELIVERED", "GIVEN_UP"], result: str) -> None:
    """Notes that no further attempt will be made."""
    await pool.execute(_END, delivery_id, state, result[:64])


async def seconds_overdue(pool: Pool) -> float:
    """Age of the delivery that has been due for longest, seconds."""
    age: float = await pool.fetchval(
        """SELECT coalesce(extract(epoch FROM clock_timestamp() - min(next_attempt_at)), 0)::float8
        FROM webhook_deliveries WHERE state = 'PENDING' AND next_attempt_at < clock_timestamp()"""
    )
    return age
