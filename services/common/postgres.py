"""PostgreSQL: a pool bound to the service's schema, and transactions that are repeated when they lose a race."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from services.common.settings import PostgresSettings

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]
T = TypeVar("T")

_ATTEMPTS = 6
_ACQUIRE_S = 5.0
_NETWORK_S = 2.0
"""What a statement may take longer than the server gives it, before its connection counts as dead."""
_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")
_LOCK_KEY = "hashtextextended(current_schema() || ' ' || $1, 0)"
_NOT_READY = (ConnectionError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, TimeoutError)

logger = logging.getLogger(__name__)


class UnsafeDurabilityError(RuntimeError):
    """The server acknowledges commits that a power cut undoes."""


class _UnchangedConnection(asyncpg.Connection):
    """A connection that nobody leaves otherwise than he got it, so that there is nothing to reset after each use."""

    def get_reset_query(self) -> str:
        """The pool still rolls back what a transaction left open; `alone` gives its lock back itself."""
        return ""


@asynccontextmanager
async def open_pool(settings: PostgresSettings, schema: str) -> AsyncIterator[Pool]:
    """Opens a pool whose connections see only `schema`; waits for a server that is still starting.

    jsonb and json columns are Python values both ways, numeric is Decimal, timestamptz is aware and in UTC.

    Raises:
        UnsafeDurabilityError: fsync, full_page_writes or synchronous_commit is off and the settings do not allow it.
        OSError: No server within `postgres_connect_timeout_s`.
    """
    pool = await _connect(settings, schema)
    try:
        if not settings.postgres_allow_unsafe_durability:
            await _require_durability(pool)
        yield pool
    finally:
        await _close(pool)


async def transact(
    pool: Pool, work: Callable[[Connection], Awaitable[T]], *, isolation: Isolation = "read_committed"
) -> T:
    """Runs `work` in one transaction and commits; repeats the whole when PostgreSQL asks for that (40001, 40P01).

    `work` must have no effect outside the transaction. A connection lost at commit is not repeated here, as the commit
    may have happened: the caller of the RPC repeats it.

    Raises:
        TimeoutError: No connection of the pool was free for five seconds.
    """
    attempt = 1
    while True:
        try:
            async with pool.acquire(timeout=_ACQUIRE_S) as connection, connection.transaction(isolation=isolation):
                return await work(connection)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            if attempt == _ATTEMPTS:
                raise
        await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
        attempt += 1


@asynccontextmanager
async def alone(pool: Pool, name: str) -> AsyncIterator[bool]:
    """Yields whether no other process does the thing of that name now; none begins it before the block's end."""
    key = f"alone {name}"
    async with pool.acquire(timeout=_ACQUIRE_S) as connection:
        # Of this schema's processes: those of other services may call something of theirs the same.
        ours = await connection.fetchval(f"SELECT pg_try_advisory_lock({_LOCK_KEY})", key)
        try:
            yield bool(ours)
        finally:
            if ours:
                await connection.execute(f"SELECT pg_advisory_unlock({_LOCK_KEY})", key)


async def _connect(settings: PostgresSettings, schema: str) -> Pool:
    deadline = time.monotonic() + settings.postgres_connect_timeout_s
    while True:
        try:
            return await _create_pool(settings, schema)
        except _NOT_READY as exc:
            if time.monotonic() > deadline:
                raise
            logger.warning("waiting for PostgreSQL", extra={"error": type(exc).__name__})
        await asyncio.sleep(0.5)


async def _create_pool(settings: PostgresSettings, schema: str) -> Pool:
    statement_timeout_ms = int(settings.postgres_statement_timeout_s * 1000)
    return await asyncpg.create_pool(
        settings.postgres_dsn.get_secret_value(),
        min_size=1,
        max_size=settings.postgres_pool_size,
        init=_set_codecs,
        connection_class=_UnchangedConnection,
        timeout=5,
        # The server's own limit is no help where its answer never arrives.
        command_timeout=settings.postgres_statement_timeout_s + _NETWORK_S,
        server_settings={
            "application_name": f"kinemesh-{schema}",
            "search_path": schema,
            "timezone": "UTC",
            "statement_timeout": str(statement_timeout_ms),
            # A process that is stopped inside a transaction must not hold its locks for ever.
            "idle_in_transaction_session_timeout": str(3 * statement_timeout_ms),
        },
    )


async def _set_codecs(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _require_durability(pool: Pool) -> None:
    off = [name for name in _DURABILITY if await pool.fetchval("SELECT current_setting($1)", name) == "off"]
    if off:
        message = f"PostgreSQL would lose accepted jobs in a power cut: {', '.join(off)} is off"
        raise UnsafeDurabilityError(message)


async def _close(pool: Pool) -> None:
    """Closes the pool, without waiting for ever for a connection that hangs."""
    try:
        await asyncio.wait_for(pool.close(), timeout=5)
    except TimeoutError:
        pool.terminate()
