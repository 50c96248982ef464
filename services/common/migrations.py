"""Runs a service's migrations at its start.

A service has only `migrations/versions/NNNN_what.py` with `revision`, `down_revision` and an `upgrade()` that calls
`op.execute` with plain SQL. Names in the SQL need no schema: the search path is the service's schema.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from services.common.settings import PostgresSettings

_ENV = Path(__file__).parent / "migration_env"
_ATTEMPTS = 10

logger = logging.getLogger(__name__)


async def migrate(settings: PostgresSettings, schema: str, versions: Path, *, target: str = "head") -> None:
    """Brings `schema` to `target` in one transaction; does nothing when it is there.

    Call it after `open_pool`, which waits for the server and checks it.

    Several replicas may start at once: they take turns by an advisory lock. A statement that waits more than two
    seconds for a table lock gives up and the whole is repeated, so that a migration never stops the old version of the
    service for longer.

    Args:
        settings: Where the database is.
        schema: The service's schema; made when missing.
        versions: The folder of the service's revisions.
        target: Revision to upgrade to.
    """
    dsn = settings.postgres_dsn.get_secret_value().replace("postgresql://", "postgresql+asyncpg://", 1)
    server_settings = {"search_path": schema, "application_name": f"kinemesh-{schema}-migrate"}
    engine = create_async_engine(dsn, poolclass=NullPool, connect_args={"server_settings": server_settings})
    try:
        attempt = 1
        while not await _try_upgrade(engine, schema, versions, target, last=attempt == _ATTEMPTS):
            logger.warning("a table is locked, the migration waits", extra={"schema": schema, "attempt": attempt})
            attempt += 1
            await asyncio.sleep(1)
    finally:
        await engine.dispose()


async def _try_upgrade(engine: AsyncEngine, schema: str, versions: Path, target: str, *, last: bool) -> bool:
    """Returns False when a lock was not to be had, unless this is the last attempt."""
    try:
        await _upgrade(engine, schema, versions, target)
    except asyncpg.LockNotAvailableError:
        if last:
            raise
        return False
    return True


async def _upgrade(engine: AsyncEngine, schema: str, versions: Path, target: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {schema}"})
        await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        # CREATE SCHEMA IF NOT EXISTS would ask for the right to create one even where the schema is given.
        if await connection.scalar(text("SELECT to_regnamespace(:name)::text"), {"name": schema}) is None:
            await connection.execute(text(f'CREATE SCHEMA "{schema}"'))
        await connection.run_sync(_run_alembic, schema, versions, target)


def _run_alembic(connection: Connection, schema: str, versions: Path, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", _escape(_ENV))
    config.set_main_option("version_locations", _escape(versions))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, target)


def _escape(path: Path) -> str:
    """Protects percent signs from the interpolation of configuration values."""
    return str(path).replace("%", "%%")
