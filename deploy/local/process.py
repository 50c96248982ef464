"""One operating-system process as data, and its life: prepare, start, wait until it is ready, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

POLL_INTERVAL_S = 0.05
PROBE_TIMEOUT_S = 3.0
LOG_TAIL_LINES = 15


class StartError(Exception):
    """A process did not become ready; the message says which, why, and where its log is."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run and how to tell that it serves.

    `probe` returns when the process serves and raises while it does not; what it raised last is shown if the deadline
    passes. `prepare` runs before every start and clears what an earlier run left; `cleanup` runs after every stop.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    probe: Callable[[], Awaitable[object]]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    prepare: Callable[[], None] | None = None
    cleanup: Callable[[], None] | None = None
    ready_within_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10.0


class Process:
    """A started `Program`, leader of its own process group."""

    def __init__(self, program: Program, popen: subprocess.Popen[bytes], log_offset: int) -> None:
        self.program = program
        self._popen = popen
        self._log_offset = log_offset

    @classmethod
    def start(cls, program: Program) -> Process:
        """Start without waiting. Raises StartError when it cannot even be executed or prepared."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            log.write(f"--- {program.name} starts at {datetime.now(UTC).isoformat(timespec='seconds')}\n".encode())
            log.flush()
            offset = log.tell()
            try:
                if program.prepare:
                    program.prepare()
                popen = subprocess.Popen(
                    program.argv,
                    env=child_environment(program.env),
                    cwd=program.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise StartError(f"{program.name} could not be started: {error}\n  log: {program.log}") from error
        return cls(program, popen, offset)

    @property
    def pid(self) -> int:
        """The process id, which is the process group's id too."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""
        return self._popen.poll()

    async def wait_ready(self) -> None:
        """Return once the probe passes. Raises StartError when the process ends or the deadline passes first."""
        deadline = time.monotonic() + self.program.ready_within_s
        reason = "its probe never ran"
        while time.monotonic() < deadline:
            if (code := self.exit_code()) is not None:
                raise StartError(self._failure(f"ended with exit status {code} before it was ready"))
            try:
                await self._probe()
            except Exception as error:  # whatever a probe raises means "not yet"
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
                await asyncio.sleep(POLL_INTERVAL_S)
            else:
                return
        raise StartError(self._failure(f"was not ready after {self.program.ready_within_s:g} s ({reason})"))

    async def answers(self) -> bool:
        """Whether the probe passes now."""
        try:
            await self._probe()
        except Exception:  # whatever a probe raises means "no"
            return False
        return True

    async def _probe(self) -> None:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await self.program.probe()

    async def stop(self) -> None:
        """Ask the process to end, wait, then kill what is left of its group."""
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(self.program.stop_signal)
        await self._wait_ended(self.program.stop_within_s)
        self.kill()

    def kill(self) -> None:
        """Kill the whole group at once and clear what it leaves behind."""
        kill_group(self.pid)
        self._popen.wait()
        if self.program.cleanup:
            self.program.cleanup()

    def _failure(self, what: str) -> str:
        lines = "\n".join(f"    {line}" for line in tail(self.program.log, self._log_offset))
        return f"{self.program.name} {what}\n  last log lines:\n{lines}\n  log: {self.program.log}"

    async def _wait_ended(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self.exit_code() is None and time.monotonic() < deadline:  # noqa: ASYNC110 - only the kernel knows
            await asyncio.sleep(POLL_INTERVAL_S)


@contextlib.asynccontextmanager
async def running(program: Program) -> AsyncIterator[Process]:
    """Start, wait until ready, and stop on leaving."""
    process = Process.start(program)
    try:
        await process.wait_ready()
        yield process
    finally:
        await process.stop()


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a child: the virtual environment's programs first, no proxy for loopback."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    loopback = "127.0.0.1,localhost"
    return {**os.environ, "PATH": path, "NO_PROXY": loopback, "no_proxy": loopback, "PYTHONUNBUFFERED": "1", **extra}


def kill_group(pid: int) -> None:
    """Kill every process of a group; none is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none or it is a zombie.

    A process id alone may have been given to another process since it was written down; with this it is unique.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def tail(log: Path, offset: int = 0, lines: int = LOG_TAIL_LINES) -> list[str]:
    """The last lines of a log file, counted from a byte offset."""
    with log.open("rb") as file:
        file.seek(max(offset, log.stat().st_size - 64 * 1024))
        return file.read().decode(errors="replace").splitlines()[-lines:]
