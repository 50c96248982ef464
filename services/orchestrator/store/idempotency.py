"""Idempotency keys: what stands before and behind a job while it is being accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool

State = Literal["PENDING", "ABANDONED", "DONE"]


@dataclass(frozen=True)
class Entry:
    """A row of `idempotency_keys`."""

    request_id: UUID
    fingerprint: bytes
    state: State
    holder: UUID
    """The call that accepts, or did."""
    held: bool
    """Whether it still may."""
    quote: Mapping[str, str] | None
    response: dict[str, Any] | None

    @property
    def free(self) -> bool:
        """Whether a call may go on where another one stopped."""
        return self.state == "PENDING" and not self.held


@dataclass(frozen=True)
class Hold:
    """The right of one call to go on with a key."""

    user_id: str
    key: UUID
    holder: UUID


_UNFINISHED = """
SELECT (SELECT count(*) FROM video_generations WHERE user_id = $1 AND completed_at IS NULL)
     + (SELECT count(*) FROM idempotency_keys WHERE user_id = $1 AND state = 'PENDING'
        AND held_until > clock_timestamp())
"""
# An expired key is as good as none; what it stood for is finished or abandoned by then.
_INSERT = f"""
INSERT INTO idempotency_keys AS k (user_id, key, fingerprint, request_id, holder, held_until, expires_at)
SELECT $1::varchar, $2::uuid, $3::bytea, $4::uuid, $5::uuid,
    clock_timestamp() + make_interval(secs => $6), clock_timestamp() + interval '7 days'
WHERE ({_UNFINISHED}) < $7
ON CONFLICT (user_id, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, request_id = excluded.request_id, holder = excluded.holder, state = 'PENDING',
    held_until = excluded.held_until, expires_at = excluded.expires_at, quote = NULL, response = NULL
WHERE k.state = 'DONE' AND k.expires_at < clock_timestamp()
"""
_READ = """
SELECT request_id, fingerprint, state, holder, held_until > clock_timestamp() AS held, quote, response
FROM idempotency_keys
WHERE user_id = $1 AND key = $2 AND NOT (state = 'DONE' AND expires_at < clock_timestamp())
"""
_OURS = "user_id = $1 AND key = $2 AND holder = $3 AND state = 'PENDING'"
_ABANDON = """
UPDATE idempotency_keys SET state = 'ABANDONED', held_until = clock_timestamp() WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys
    WHERE state <> 'DONE' AND held_until < clock_timestamp() - make_interval(secs => $1)
    LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING user_id, key, request_id, quote IS NOT NULL AS quoted
"""


@dataclass(frozen=True)
class Abandoned:
    """An accept that nobody finished."""

    user_id: str
    key: UUID
    request_id: UUID
    quoted: bool
    """Whether credits may be held for it."""


async def serialize_user(connection: Connection, user_id: str) -> None:
    """Lets the user's accepts begin one after another, so that they can be counted."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", user_id)


async def unfinished(connection: Connection, user_id: str) -> int:
    """Counts the user's unfinished jobs and those being accepted."""
    count: int = await connection.fetchval(_UNFINISHED, user_id)
    return count


async def insert(
    connection: Connection, hold: Hold, fingerprint: bytes, hold_s: float, max_unfinished: int
) -> Entry | None:
    """Makes a key for a new job; None when it exists already, or the user has as much unfinished as he may."""
    request_id = uuid4()
    status = await connection.execute(
        _INSERT, hold.user_id, hold.key, fingerprint, request_id, hold.holder, hold_s, max_unfinished
    )
    return Entry(request_id, fingerprint, "PENDING", hold.holder, True, None, None) if status == "INSERT 0 1" else None


async def peek(pool: Pool, user_id: str, key: UUID) -> Entry | None:
    """Reads a key without waiting for anybody."""
    row = await pool.fetchrow(_READ, user_id, key)
    return Entry(**row) if row else None


async def read(connection: Connection, user_id: str, key: UUID) -> Entry | None:
    """Reads a key and locks it."""
    row = await connection.fetchrow(f"{_READ} FOR UPDATE", user_id, key)
    return Entry(**row) if row else None


async def take_over(connection: Connection, hold: Hold, hold_s: float) -> None:
    """Makes this call the holder of a key whose holder is gone; the caller has locked it."""
    await connection.execute(
        """UPDATE idempotency_keys SET holder = $3, held_until = clock_timestamp() + make_interval(secs => $4)
        WHERE user_id = $1 AND key = $2""",
        hold.user_id,
        hold.key,
        hold.holder,
        hold_s,
    )


async def fix_quote(pool: Pool, hold: Hold, quote: Mapping[str, str]) -> bool:
    """Notes the price before it is held; False when the hold is lost."""
    status = await pool.execute(
        f"UPDATE idempotency_keys SET quote = $4 WHERE {_OURS}",  # noqa: S608 - a constant
        hold.user_id,
        hold.key,
        hold.holder,
        quote,
    )
    return status == "UPDATE 1"


async def finish(connection: Connection, hold: Hold, response: Mapping[str, Any]) -> bool:
    """Keeps the answer for repetitions; False when the hold is lost."""
    status = await connection.execute(
        f"UPDATE idempotency_keys SET state = 'DONE', response = $4 WHERE {_OURS}",  # noqa: S608 - a constant
        hold.user_id,
        hold.key,
        hold.holder,
        response,
    )
    return status == "UPDATE 1"


async def release(pool: Pool, hold: Hold) -> None:
    """Lets the next call with the key go on at once."""
    await pool.execute(
        f"UPDATE idempotency_keys SET held_until = clock_timestamp() WHERE {_OURS}",  # noqa: S608 - a constant
        hold.user_id,
        hold.key,
        hold.holder,
    )


async def forget(pool: Pool, hold: Hold) -> None:
    """Removes a key whose request was refused: nothing came of it."""
    await pool.execute(
        f"DELETE FROM idempotency_keys WHERE {_OURS}",  # noqa: S608 - a constant
        hold.user_id,
        hold.key,
        hold.holder,
    )


async def abandon(pool: Pool, quiet_s: float, limit: int) -> list[Abandoned]:
    """Takes away the keys of accepts that nobody has been working on for a while."""
    return [Abandoned(**row) for row in await pool.fetch(_ABANDON, quiet_s, limit)]


async def delete_abandoned(pool: Pool, abandoned: Abandoned) -> None:
    """Removes a key once nothing is held for it."""
    await pool.execute(
        "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND state = 'ABANDONED'",
        abandoned.user_id,
        abandoned.key,
    )


async def delete_expired(pool: Pool) -> None:
    """Removes keys that are too old to be repeated."""
    await pool.execute("DELETE FROM idempotency_keys WHERE state = 'DONE' AND expires_at < clock_timestamp()")
