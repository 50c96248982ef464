"""Whether what a service needs is there, so that its health says the truth."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from prometheus_client import Gauge

UP = Gauge("kinemesh_dependency_up", "Whether something the process needs answers: 1 or 0.", ["dependency"])
_INTERVAL_S = 1.0
_CHECK_WITHIN_S = 2.0

Check: TypeAlias = Callable[[], Awaitable[object]]
"""Raises, or does not return for seconds, while the thing is not there."""
Report: TypeAlias = Callable[[str, bool], Awaitable[None]]
"""Takes the name of a dependency, or "" for the service itself, and whether it is well."""

logger = logging.getLogger(__name__)


@dataclass
class _Dependency:
    name: str
    check: Check
    required: bool
    seen_at: float
    up: bool = True


class Dependencies:
    """Watches them. One that comes back within `patience_s` was never gone."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._watched: list[_Dependency] = []

    @property
    def names(self) -> list[str]:
        """What is watched."""
        return [dependency.name for dependency in self._watched]

    def add(self, name: str, check: Check, *, required: bool) -> None:
        """Watches something; without what is required the service cannot serve."""
        self._watched.append(_Dependency(name, check, required, time.monotonic()))

    async def watch(self, report: Report) -> NoReturn:
        """Reports every change, for ever."""
        serving = True
        while True:
            await asyncio.gather(*(self._look(dependency, report) for dependency in self._watched))
            able = all(dependency.up for dependency in self._watched if dependency.required)
            if able != serving:
                serving = able
                await report("", able)
            await asyncio.sleep(_INTERVAL_S)

    async def _look(self, dependency: _Dependency, report: Report) -> None:
        try:
            async with asyncio.timeout(_CHECK_WITHIN_S):
                await dependency.check()
            dependency.seen_at = time.monotonic()
        except Exception as exc:
            logger.debug("dependency does not answer", extra={"dependency": dependency.name, "error": repr(exc)})
        up = time.monotonic() - dependency.seen_at < self._patience_s
        UP.labels(dependency.name).set(up)
        if up != dependency.up:
            dependency.up = up
            message = "dependency is back" if up else "dependency is gone"
            logger.log(logging.INFO if up else logging.ERROR, message, extra={"dependency": dependency.name})
            await report(dependency.name, up)
