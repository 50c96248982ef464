"""PostgreSQL from the wheel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.ports import free_port
from deploy.local.process import Process, running
from deploy.local.servers.postgres import Postgres

pytestmark = pytest.mark.integration


@pytest.fixture
def closed_directory() -> Iterator[Path]:
    """A folder below one that other users cannot pass through, as a checkout in /root is."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o700)
        inner = Path(parent) / "checkout"
        inner.mkdir()
        yield inner


def server_in(directory: Path) -> Postgres:
    return Postgres(directory=directory / "pg", log=directory / "pg.log", port=free_port(), password="p@ss/word:")


def user_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def execute(server: Postgres, sql: str) -> object:
    connection = await asyncpg.connect(server.dsn())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_it_serves_with_durable_settings_and_a_password(postgres: Postgres) -> None:
    assert str(await execute(postgres, "SHOW server_version")).startswith("18.")
    assert await execute(postgres, "SHOW fsync") == "on"
    assert await execute(postgres, "SHOW synchronous_commit") == "on"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.dsn(password="wrong"))


async def test_it_listens_on_loopback_only(postgres: Postgres) -> None:
    assert await execute(postgres, "SHOW listen_addresses") == "127.0.0.1"
    assert await execute(postgres, "SHOW unix_socket_directories") == ""


async def test_it_runs_below_a_directory_closed_to_other_users(closed_directory: Path) -> None:
    server = server_in(closed_directory)
    async with running(server.program()) as process:
        assert await execute(server, "SELECT 1") == 1
        assert user_of(process.pid) == (os.geteuid() or 65534)


async def test_committed_rows_survive_a_kill_and_a_pid_file_with_a_reused_number(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    first = Process.start(server.program())
    await first.wait_ready()
    await execute(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.kill()
    pid_file = tmp_path / "pg" / "data" / "postmaster.pid"
    rest = pid_file.read_text().split("\n", 1)[1]
    pid_file.write_text(f"{os.getpid()}\n{rest}")
    async with running(server.program()):
        assert await execute(server, "SELECT answer FROM kept") == 42


async def test_a_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    (tmp_path / "pg" / "data.new" / "base").mkdir(parents=True)
    async with running(server.program()):
        assert await execute(server, "SELECT 1") == 1


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_test_gets_an_empty_database(postgres_dsn: str, attempt: int) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE mine (a int)")
    finally:
        await connection.close()
