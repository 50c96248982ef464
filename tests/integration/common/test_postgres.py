"""The pool, transactions and migrations against a real PostgreSQL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from deploy.local.ports import free_port
from services.common.inbox import once
from services.common.migrations import migrate
from services.common.postgres import Connection, Pool, UnsafeDurabilityError, open_pool, transact
from services.common.settings import PostgresSettings
from tests.integration.common.conftest import SCHEMA, VERSIONS, until

pytestmark = pytest.mark.integration


async def test_values_come_back_as_what_they_mean(pool: Pool) -> None:
    body = {"text": "ü", "list": [1, None]}
    await pool.execute("INSERT INTO notes VALUES (1, $1, $2)", body, Decimal("0.10"))
    row = await pool.fetchrow("SELECT body, price, twice(21) AS n FROM notes")
    assert row is not None
    assert (row["body"], row["price"], row["n"]) == (body, Decimal("0.10"), 42)


async def test_the_pool_sees_only_its_schema(pool: Pool) -> None:
    assert await pool.fetchval("SELECT current_schemas(false)::text[]") == [SCHEMA]
    assert await pool.fetchval("SHOW application_name") == "kinemesh-notes"


async def test_a_slow_statement_is_given_up(postgres_settings: PostgresSettings) -> None:
    settings = postgres_settings.model_copy(update={"postgres_statement_timeout_s": 0.1})
    async with open_pool(settings, SCHEMA) as pool:
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("SELECT pg_sleep(10)")


async def test_a_lost_race_is_repeated_until_both_increments_count(pool: Pool) -> None:
    await pool.execute("""INSERT INTO notes (id, body) VALUES (1, '{"n": 0}')""")
    both_have_read = asyncio.Barrier(2)
    attempts = 0

    async def increment(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        body = await connection.fetchval("SELECT body FROM notes WHERE id = 1")
        if attempts <= 2:
            await both_have_read.wait()
        await connection.execute("UPDATE notes SET body = $1 WHERE id = 1", {"n": body["n"] + 1})

    await asyncio.gather(*(transact(pool, increment, isolation="serializable") for _ in range(2)))
    assert await pool.fetchval("SELECT body FROM notes") == {"n": 2}
    assert attempts == 3


async def test_an_error_rolls_back_and_is_not_repeated(pool: Pool) -> None:
    attempts = 0

    async def fail(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("INSERT INTO notes (id) VALUES (1)")
        message = "a defect"
        raise ValueError(message)

    with pytest.raises(ValueError, match="a defect"):
        await transact(pool, fail)
    assert attempts == 1
    assert await pool.fetchval("SELECT count(*) FROM notes") == 0


async def test_a_server_that_is_away_is_waited_for_and_then_given_up() -> None:
    dsn = SecretStr(f"postgresql://u:p@127.0.0.1:{free_port()}/d")
    with pytest.raises(ConnectionRefusedError):
        async with open_pool(PostgresSettings(postgres_dsn=dsn, postgres_connect_timeout_s=0.2), SCHEMA):
            pass


async def test_a_server_that_may_lose_commits_is_refused(postgres_settings: PostgresSettings) -> None:
    async with open_pool(postgres_settings, "public") as pool:
        database = await pool.fetchval("SELECT current_database()")
        await pool.execute(f"ALTER DATABASE {database} SET synchronous_commit = off")
    with pytest.raises(UnsafeDurabilityError, match="synchronous_commit"):
        async with open_pool(postgres_settings, "public"):
            pass
    allowed = postgres_settings.model_copy(update={"postgres_allow_unsafe_durability": True})
    async with open_pool(allowed, "public") as pool:
        assert await pool.fetchval("SELECT 1") == 1


async def test_replicas_that_start_at_once_migrate_once(postgres_settings: PostgresSettings) -> None:
    await asyncio.gather(*(migrate(postgres_settings, SCHEMA, VERSIONS) for _ in range(3)))
    async with open_pool(postgres_settings, SCHEMA) as pool:
        assert await pool.fetchval("SELECT version_num FROM schema_version") == "0002"


async def test_a_migration_goes_on_from_the_previous_version_with_data(postgres_settings: PostgresSettings) -> None:
    await migrate(postgres_settings, SCHEMA, VERSIONS, target="0001")
    async with open_pool(postgres_settings, SCHEMA) as pool:
        await pool.execute("INSERT INTO notes (id) VALUES (7)")
        await migrate(postgres_settings, SCHEMA, VERSIONS)
        assert await pool.fetchval("SELECT id FROM notes") == 7
        assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_failing_migration_leaves_nothing(postgres_settings: PostgresSettings, tmp_path: Path) -> None:
    (tmp_path / "0001_bad.py").write_text(
        "from alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (id int); SELECT no_such_function()')\n"
    )
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(postgres_settings, SCHEMA, tmp_path)
    async with open_pool(postgres_settings, SCHEMA) as pool:
        assert await pool.fetchval("SELECT to_regclass('half')") is None


async def test_a_locked_table_makes_the_migration_wait_not_the_service(
    postgres_settings: PostgresSettings, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.py").write_text((VERSIONS / "0001_notes.py").read_text())
    await migrate(postgres_settings, SCHEMA, tmp_path)
    (tmp_path / "0002_column.py").write_text(
        "from alembic import op\nrevision = '0002'\ndown_revision = '0001'\n"
        "def upgrade():\n    op.execute('ALTER TABLE notes ADD COLUMN extra text')\n"
    )
    async with open_pool(postgres_settings, SCHEMA) as pool, pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute("SELECT * FROM notes")
            migrating = asyncio.create_task(migrate(postgres_settings, SCHEMA, tmp_path))

            async def waits() -> bool:
                return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

            async def gave_way() -> bool:
                return not await waits()

            await until(waits)
            await until(gave_way)
            assert not migrating.done()
        await asyncio.wait_for(migrating, 20)
        assert await pool.fetchval("SELECT count(extra) FROM notes") == 0


async def test_the_inbox_knows_a_repetition_also_when_both_come_at_once(pool: Pool) -> None:
    firsts = await asyncio.gather(*(transact(pool, lambda c: once(c, "billing", "m-1")) for _ in range(5)))
    assert sorted(firsts) == [False, False, False, False, True]
    async with pool.acquire() as connection:
        assert await once(connection, "other", "m-1")


async def test_a_rolled_back_message_may_come_again(pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await once(connection, "billing", "m-2")
        await transaction.rollback()
        assert await once(connection, "billing", "m-2")
