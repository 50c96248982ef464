"""Users' own webhook secrets, encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool

_VALID = """
SELECT secret FROM webhook_secrets
WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
ORDER BY expires_at DESC NULLS FIRST LIMIT $2
"""
_MADE_BY = """
SELECT secret, (SELECT max(expires_at) FROM webhook_secrets p WHERE p.user_id = $1 AND p.created_at < s.created_at)
    AS previous_expires_at
FROM webhook_secrets s WHERE user_id = $1 AND made_by = $2
"""
_ADD = "INSERT INTO webhook_secrets (secret_id, user_id, secret, made_by) VALUES (gen_random_uuid(), $1, $2, $3)"
_EXPIRE = """
UPDATE webhook_secrets SET expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE user_id = $1 AND expires_at IS NULL RETURNING expires_at
"""
_AT_MOST = 3
"""Secrets that sign at once: who rotates faster than they expire loses the oldest."""


@dataclass(frozen=True)
class Rotated:
    """The present secret and the end of the one before."""

    secret: bytes
    previous_expires_at: datetime | None
    """None once it is forgotten."""


async def serialize(connection: Connection, user_id: str) -> None:
    """Lets the user's rotations follow one another."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 11))", user_id)


async def valid(source: Pool | Connection, user_id: str) -> list[bytes]:
    """Reads the secrets that sign, the present one first; none for a user who never rotated."""
    return [row["secret"] for row in await source.fetch(_VALID, user_id, _AT_MOST)]


async def made_by(connection: Connection, user_id: str, key: UUID) -> Rotated | None:
    """Reads what an earlier call with this key made."""
    row = await connection.fetchrow(_MADE_BY, user_id, key)
    return None if row is None else Rotated(**row)


async def replace(connection: Connection, user_id: str, secret: bytes, key: UUID | None, overlap_s: int) -> Rotated:
    """Lets the present secret, which must exist, expire after the overlap, and adds the new one."""
    expires_at: datetime = await connection.fetchval(_EXPIRE, user_id, overlap_s)
    await connection.execute(_ADD, user_id, secret, key)
    return Rotated(secret, expires_at)


async def adopt(connection: Connection, user_id: str, secret: bytes) -> None:
    """Stores the secret that the user has had by derivation."""
    await connection.execute(_ADD, user_id, secret, None)
