"""The mesh in the background: one supervisor for an installation, found by the lock it holds."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from deploy.local.catalogue import write_catalogue
from deploy.local.home import Home, check_ports
from deploy.local.journal import Journal
from deploy.local.mesh import make_mesh, write_endpoints
from deploy.local.process import POLL_INTERVAL_S, StartError, child_environment
from deploy.local.supervisor import Supervisor

MARK = "KINEMESH_LOCAL_HOME"
"""Environment variable that marks every process of an installation, so that strays can be found."""
START_WITHIN_S = 720.0
"""Longer than the slowest process may take; one that does not become ready in its own time fails the start at once."""
STOP_WITHIN_S = 60.0


class MeshError(Exception):
    """The mesh could not be started or stopped; the message is for its user."""


def journal_file(home: Home) -> Path:
    """Where the supervisor writes the state of the mesh."""
    return home.directory / "mesh.json"


def supervisor_pid(home: Home) -> int | None:
    """The process id of the running supervisor; None when there is none.

    The lock vanishes with its holder, so neither a killed supervisor nor a restart of the machine leaves it behind.
    """
    with _lock_file(home) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0) or None
    return None


def start(home: Home, tell: Callable[[str], None]) -> None:
    """Start the mesh in the background unless it runs; return once all of it is ready.

    Raises MeshError when it does not become ready; it is stopped then.
    """
    if supervisor_pid(home) is not None:
        _wait_ready(home, lambda: supervisor_pid(home) is None, tell)
        return
    kill_strays(home)
    check_ports(home)
    journal_file(home).unlink(missing_ok=True)
    supervisor = _start_supervisor(home)
    _wait_ready(home, lambda: supervisor.poll() is not None, tell)


def stop(home: Home) -> bool:
    """Stop the mesh; False when it did not run. What a killed supervisor left running is stopped too."""
    pid = supervisor_pid(home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        while supervisor_pid(home) is not None and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL_S)
    strays = kill_strays(home)
    return pid is not None or strays > 0


def supervise(home: Home) -> int:
    """Run the mesh until SIGTERM or SIGINT; the exit status is 1 when it could not be started."""
    os.environ[MARK] = str(home.directory)
    with _lock_file(home) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return asyncio.run(_supervise(home, Journal(journal_file(home))))


def kill_strays(home: Home) -> int:
    """Kill every process of this installation but this one; returns how many there were."""
    strays = list(_marked_processes(f"{MARK}={home.directory}".encode()))
    for pid in strays:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(strays)


async def _supervise(home: Home, journal: Journal) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    journal.enter("starting")
    try:
        supervisor = Supervisor(make_mesh(home, write_catalogue(home)).components(), journal)
        write_endpoints(home)
        await supervisor.run(stopping, lambda: journal.enter("ready"))
    except StartError as error:
        journal.enter("failed", str(error))
        return 1
    journal.enter("stopped")
    return 0


def _start_supervisor(home: Home) -> subprocess.Popen[bytes]:
    home.logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deploy.local", "--state-dir", str(home.directory), "supervise"]
    environment = child_environment({MARK: str(home.directory)})
    with home.log("supervisor").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_ready(home: Home, ended: Callable[[], bool], tell: Callable[[str], None]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    told: set[str] = set()
    while time.monotonic() < deadline:
        journal = Journal.read(journal_file(home))
        for name, record in journal.processes.items():
            if record.ready_after_s is not None and name not in told:
                told.add(name)
                tell(f"  {name:<14} ready after {record.ready_after_s:5.1f} s")
        if journal.phase == "ready":
            return
        if ended():
            raise MeshError(journal.error or f"the supervisor ended; its log: {home.log('supervisor')}")
        time.sleep(POLL_INTERVAL_S)
    stop(home)
    raise MeshError(f"the mesh was not ready after {START_WITHIN_S:g} s; logs: {home.logs}")


@contextlib.contextmanager
def _lock_file(home: Home) -> Iterator[IO[str]]:
    with (home.directory / "supervisor.lock").open("a+") as file:
        file.seek(0)
        yield file


def _marked_processes(mark: bytes) -> Iterator[int]:
    for environment in Path("/proc").glob("[0-9]*/environ"):
        pid = int(environment.parent.name)
        # Other users' processes cannot be read, and any may end meanwhile: neither is ours.
        with contextlib.suppress(OSError):
            if pid != os.getpid() and mark in environment.read_bytes().split(b"\0"):
                yield pid
