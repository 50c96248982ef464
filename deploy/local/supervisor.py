"""Keeps the processes of a mesh running: starts what can start, restarts what crashes, stops in reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deploy.local.logs import rotate
from deploy.local.process import POLL_INTERVAL_S, Process, Program, StartError

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
STABLE_AFTER_S = 60.0
ROTATE_INTERVAL_S = 5.0
MAX_LOG_BYTES = 32 * 1024 * 1024
"""Of each process; as much again is kept in `<name>.log.1`."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A process of the mesh: it starts once what it `needs` is ready, and `then` runs before it counts as ready."""

    program: Program
    needs: frozenset[str] = frozenset()
    then: Callable[[], Awaitable[None]] | None = None
    alive_within_s: float | None = None
    """Seconds without an answer to its probe after which a running process is started again; absent for never."""

    @property
    def name(self) -> str:
        """The process's name."""
        return self.program.name


class Observer(Protocol):
    """Is told what happens to the processes."""

    def started(self, name: str, pid: int) -> None:
        """The process runs but is not ready."""

    def ready(self, name: str, after_s: float) -> None:
        """The process serves, that long after it was started."""

    def crashed(self, name: str, reason: str, retry_in_s: float) -> None:
        """The process ended by itself or did not come back, and is started again later."""

    def stopped(self, name: str) -> None:
        """The process was stopped."""


@dataclass
class _Kept:
    """A component's present process."""

    component: Component
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    process: Process | None = None


class Supervisor:
    """Runs components until told to stop."""

    def __init__(
        self, components: Sequence[Component], observer: Observer, *, max_log_bytes: int = MAX_LOG_BYTES
    ) -> None:
        self._kept = {component.name: _Kept(component) for component in components}
        self._observer = observer
        self._max_log_bytes = max_log_bytes

    async def run(self, stop: asyncio.Event, all_ready: Callable[[], None]) -> None:
        """Start everything, call `all_ready` once, and keep it running until `stop` is set; stop everything.

        Raises StartError when a process does not become ready in the first place; everything is stopped then too.
        """
        keepers = [asyncio.create_task(self._keep(kept), name=name) for name, kept in self._kept.items()]
        stopping = asyncio.create_task(stop.wait())
        beside = [asyncio.create_task(self._announce(all_ready)), asyncio.create_task(self._rotate_logs())]
        try:
            done, _ = await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, *beside, *keepers):
                task.cancel()
            await asyncio.gather(stopping, *beside, *keepers, return_exceptions=True)
            await self._stop_all()
        for keeper in done - {stopping}:
            await keeper

    async def _announce(self, all_ready: Callable[[], None]) -> None:
        await asyncio.gather(*(kept.ready.wait() for kept in self._kept.values()))
        all_ready()

    async def _rotate_logs(self) -> None:
        logs = {kept.component.program.log for kept in self._kept.values()}
        while True:
            for log in logs:
                await asyncio.to_thread(rotate, log, self._max_log_bytes)
            await asyncio.sleep(ROTATE_INTERVAL_S)

    async def _keep(self, kept: _Kept) -> None:
        """Start one component when its turn comes, and again whenever it ends."""
        await asyncio.gather(*(self._kept[name].ready.wait() for name in kept.component.needs))
        failures = 0
        while True:
            started = time.monotonic()
            try:
                process = await self._start(kept)
                reason = await _end(process, kept.component.alive_within_s)
            except StartError as error:
                if not kept.ready.is_set():
                    raise
                reason = str(error)
            failures = 0 if time.monotonic() - started > STABLE_AFTER_S else failures
            await self._recover(kept, reason, min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**failures))
            failures += 1

    async def _start(self, kept: _Kept) -> Process:
        started = time.monotonic()
        process = kept.process = await asyncio.to_thread(Process.start, kept.component.program)
        self._observer.started(kept.component.name, process.pid)
        await process.wait_ready()
        if kept.component.then:
            await _then(kept.component.name, kept.component.then)
        self._observer.ready(kept.component.name, time.monotonic() - started)
        kept.ready.set()
        return process

    async def _recover(self, kept: _Kept, reason: str, backoff_s: float) -> None:
        self._observer.crashed(kept.component.name, reason, backoff_s)
        if kept.process:
            kept.process.kill()
        await asyncio.sleep(backoff_s)

    async def _stop_all(self) -> None:
        """Stop in layers: first what nothing else needs."""
        left = dict(self._kept)
        while left:
            needed = {name for kept in left.values() for name in kept.component.needs}
            layer = [kept for name, kept in left.items() if name not in needed]
            await asyncio.gather(*(self._stop(kept) for kept in layer))
            left = {name: kept for name, kept in left.items() if name in needed}

    async def _stop(self, kept: _Kept) -> None:
        if kept.process:
            await kept.process.stop()
            self._observer.stopped(kept.component.name)


async def _then(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Runs what follows a start; where it fails the process is of no use, as if it had not started."""
    try:
        await work()
    except Exception as error:
        raise StartError(f"{name} runs, but what follows its start failed: {type(error).__name__}: {error}") from error


async def _end(process: Process, alive_within_s: float | None) -> str:
    """Waits until the process ends, or does not answer for so long; returns what happened."""
    answered_at = looked_at = time.monotonic()
    while (code := process.exit_code()) is None:
        await asyncio.sleep(POLL_INTERVAL_S)
        if alive_within_s is None or time.monotonic() - looked_at < alive_within_s / 5:
            continue
        if await process.answers():
            answered_at = time.monotonic()
        looked_at = time.monotonic()
        if looked_at - answered_at > alive_within_s:
            return f"has not answered for {alive_within_s:g} s"
    return f"ended with exit status {code}"
