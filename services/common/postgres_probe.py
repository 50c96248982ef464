"""Whether the database answers, asked on a connection of its own: a pool that is busy is no database that is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from services.common.settings import PostgresSettings

_CONNECT_WITHIN_S = 2.0


@asynccontextmanager
async def open_probe(settings: PostgresSettings) -> AsyncIterator[PostgresProbe]:
    """Connects with the first question."""
    probe = PostgresProbe(settings.postgres_dsn.get_secret_value())
    try:
        yield probe
    finally:
        probe.close()


class PostgresProbe:
    """For `Runtime.depends("postgres", probe.ask)`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def ask(self) -> None:
        """Raises unless the database answers; may hang with it, so give it a deadline."""
        if self._connection is None or self._connection.is_closed():
            settings = {"application_name": "kinemesh-probe"}
            self._connection = await asyncpg.connect(self._dsn, timeout=_CONNECT_WITHIN_S, server_settings=settings)
        try:
            await self._connection.fetchval("SELECT 1")
        except BaseException:
            # After a question without an answer it is of no more use, also when the one who asked gave up.
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection without a word, as the server may not be there."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
