"""The core under load: what a disaster happens to."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from deploy.local.process import Program
from tests.chaos.core import Core, CoreUser, Servers, running_core
from tests.chaos.history.check import Violation
from tests.chaos.pipeline import working
from tests.chaos.receiver import eavesdropping
from tests.chaos.verdict import verdict
from tests.support.kept import Watch, kept
from tests.support.waiting import eventually

VIDEOS = 40
BEFORE = 12
"""Videos that are accepted before the disaster."""


@dataclass
class Scene:
    """A core under load."""

    core: Core
    user: CoreUser
    watch: Watch
    wrong: list[Violation] = field(default_factory=list)
    """What the checker says in the end."""

    async def accepted(self, count: int) -> None:
        """Returns once so many videos are accepted."""

        async def enough() -> bool:
            return sum(create.status == 202 for create in self.user.creates) >= count

        await eventually(enough, timeout_s=120)


@asynccontextmanager
async def under_load(servers: Servers, *programs: Program, **overrides: Any) -> AsyncIterator[Scene]:
    """Yields while videos are being accepted and worked on; afterwards the scene knows what is wrong."""
    async with (
        kept(*programs) as watch,
        running_core(servers, overrides=overrides) as core,
        eavesdropping(servers.nats.url) as ear,
        working(core, seed=5, zombies=0.1),
    ):
        scene = Scene(core, core.user("ada"), watch)
        await core.grant("ada", "100")
        at_once = asyncio.Semaphore(4)
        asking = [asyncio.create_task(_ask(scene.user, at_once, seed)) for seed in range(VIDEOS)]
        await scene.accepted(BEFORE)
        yield scene
        await asyncio.gather(*asking)
        scene.wrong += await verdict(core, [scene.user], ear, within_s=120)


async def _ask(user: CoreUser, at_once: asyncio.Semaphore, seed: int) -> None:
    async with at_once:
        await user.create(str(uuid.uuid4()), seed=seed)
