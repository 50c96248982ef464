"""Programs that are started again whenever they end, as a cluster or the local runner does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from deploy.local.process import Program
from deploy.local.supervisor import Component, Supervisor
from tests.support.waiting import eventually


@dataclass
class Watch:
    """Knows the processes; `Observer` of the supervisor."""

    pids: dict[str, int] = field(default_factory=dict)
    ready_names: set[str] = field(default_factory=set)

    def started(self, name: str, pid: int) -> None:
        self.pids[name] = pid

    def ready(self, name: str, after_s: float) -> None:
        self.ready_names.add(name)

    def crashed(self, name: str, reason: str, retry_in_s: float) -> None:
        self.ready_names.discard(name)

    def stopped(self, name: str) -> None:
        self.ready_names.discard(name)

    async def replaced(self, name: str, pid: int, timeout_s: float = 120) -> None:
        """Returns once another process than that one serves under the name."""

        async def replaced() -> bool:
            return self.pids[name] != pid and name in self.ready_names

        await eventually(replaced, timeout_s=timeout_s)


@asynccontextmanager
async def kept(*programs: Program) -> AsyncIterator[Watch]:
    """Runs programs that need nothing of each other; yields when all serve."""
    async with supervised([Component(program=program) for program in programs]) as watch:
        yield watch


@asynccontextmanager
async def supervised(components: Sequence[Component]) -> AsyncIterator[Watch]:
    """Runs components; yields when all serve."""
    watch, stop, ready = Watch(), asyncio.Event(), asyncio.Event()
    supervising = asyncio.create_task(Supervisor(components, watch).run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({waiting, supervising}, return_when=asyncio.FIRST_COMPLETED)
        if supervising.done():
            await supervising
        yield watch
    finally:
        stop.set()
        await asyncio.gather(supervising, return_exceptions=True)
        waiting.cancel()
