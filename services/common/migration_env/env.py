"""Alembic's environment for every service; `services.common.migrations` hands it the connection."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Connection
from sqlalchemy.util import await_only


class ScriptImpl(PostgresqlImpl):
    """Lets `op.execute` take whole scripts: several statements, function bodies, colons."""

    __dialect__ = "postgresql"

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """Sends plain strings to asyncpg as they are; SQLAlchemy would prepare them, one statement at a time."""
        if not isinstance(sql, str):
            super().execute(sql, execution_options)
            return
        driver: Any = connection.connection.driver_connection
        await_only(driver.execute(sql))


connection: Connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
context.configure(connection=connection, version_table="schema_version", version_table_schema=schema)
context.run_migrations()
