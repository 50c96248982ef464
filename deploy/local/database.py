"""The mesh's database: a schema and a role for each service, which sees no other."""

from __future__ import annotations

import asyncpg

from deploy.local.home import SCHEMAS, Home
from deploy.local.servers.postgres import Postgres

DATABASE = "kinemesh"


def service_dsn(home: Home, postgres: Postgres, service: str) -> str:
    """How a service connects."""
    return postgres.dsn(database=DATABASE, user=service, password=home.keys.password(f"postgres-{service}"))


async def prepare_database(home: Home, postgres: Postgres) -> None:
    """Make the database, the roles and the schemas that are missing; set the roles' passwords."""
    await _create_database(postgres)
    connection = await asyncpg.connect(postgres.dsn(database=DATABASE))
    try:
        async with connection.transaction():
            await connection.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
            for service in SCHEMAS:
                await _prepare_schema(connection, service, home.keys.password(f"postgres-{service}"))
    finally:
        await connection.close()


async def _create_database(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


async def _prepare_schema(connection: asyncpg.Connection[asyncpg.Record], service: str, password: str) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", service):
        await connection.execute(f"CREATE ROLE {service} LOGIN")
    # A role's password cannot be a parameter; ours are URL-safe base64, so there is nothing to quote.
    await connection.execute(f"ALTER ROLE {service} PASSWORD '{password}'")
    await connection.execute(f"ALTER ROLE {service} SET search_path = {service}")
    await connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {service}")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {service}")
