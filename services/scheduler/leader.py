"""One leader among the replicas, by an advisory lock of PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_CONNECT_WITHIN_S = 5.0

logger = logging.getLogger(__name__)


class Leadership:
    """Leads while it holds the lock, stands by while another replica does.

    The lock belongs to a database session. When the leader dies the session ends with its connection; when it stands
    still, or its machine is cut off, the server ends the session after `silence_s` without a sign of life. A leader
    that finds its session gone stops leading. In between two may believe to lead: every assignment is decided by the
    orchestrator's compare-and-set, so the belief alone does no harm.

    Args:
        dsn: Where the database is.
        name: Name of the lock; the same in all replicas.
        check_s: Seconds between signs of life, and between attempts to become leader.
        silence_s: Seconds after which the server gives the lock to another.
    """

    def __init__(self, dsn: str, name: str, check_s: float, silence_s: float) -> None:
        self._dsn = dsn
        self._name = name
        self._check_s = check_s
        self._silence_s = silence_s
        self._stopped = asyncio.Event()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Calls `lead` whenever this replica leads and cancels it when it does no more; returns after `stop`."""
        campaign = asyncio.create_task(self._campaign(lead))
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({campaign, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if campaign.done():
                await campaign
        finally:
            campaign.cancel()
            stopped.cancel()
            await asyncio.wait({campaign})

    def stop(self) -> None:
        """Gives up leadership, so that a standby takes over at once."""
        self._stopped.set()

    async def _campaign(self, lead: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async with self._session() as session:
                    await self._wait_for_lock(session)
                    logger.info("leading")
                    await self._hold(session, lead)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as exc:
                logger.warning("not leading", extra={"error": repr(exc)})
            await asyncio.sleep(self._check_s)

    async def _wait_for_lock(self, session: asyncpg.Connection[asyncpg.Record]) -> None:
        while not await session.fetchval(_LOCK, self._name):  # noqa: ASYNC110 - the event is another process's end
            await asyncio.sleep(self._check_s)

    async def _hold(self, session: asyncpg.Connection[asyncpg.Record], lead: Callable[[], Awaitable[None]]) -> None:
        """Leads until the session is lost, which is raised."""
        leading = asyncio.ensure_future(lead())
        try:
            while not leading.done():
                await session.fetchval("SELECT 1")
                await asyncio.wait({leading}, timeout=self._check_s)
            await leading
        finally:
            leading.cancel()
            await asyncio.wait({leading})

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        session = await asyncpg.connect(
            self._dsn,
            timeout=_CONNECT_WITHIN_S,
            command_timeout=self._silence_s / 2,
            server_settings={
                "application_name": f"kinemesh-{self._name}-leader",
                "idle_session_timeout": str(int(self._silence_s * 1000)),
            },
        )
        try:
            yield session
        finally:
            session.terminate()
