"""When a dependency counts as gone."""

from __future__ import annotations

import asyncio

import pytest

from services.common import dependencies
from services.common.dependencies import Dependencies
from tests.support.waiting import eventually


class Thing:
    """Something a service needs."""

    def __init__(self) -> None:
        self.state = "up"
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.state == "down":
            raise ConnectionError
        if self.state == "hangs":
            await asyncio.Event().wait()


class Health:
    """What is reported."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []

    async def report(self, name: str, well: bool) -> None:
        self.said.append((name, well))

    async def has_said(self, *said: tuple[str, bool]) -> bool:
        return self.said == list(said)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(dependencies, "_CHECK_WITHIN_S", 0.02)


@pytest.mark.parametrize("state", ["down", "hangs"])
async def test_what_is_gone_for_long_and_comes_back_is_reported(state: str) -> None:
    database, health = Thing(), Health()
    watched = Dependencies(patience_s=0.1)
    watched.add("postgres", database.check, required=True)
    watching = asyncio.create_task(watched.watch(health.report))
    database.state = state
    gone = [("postgres", False), ("", False)]
    await eventually(lambda: health.has_said(*gone))
    database.state = "up"
    await eventually(lambda: health.has_said(*gone, ("postgres", True), ("", True)))
    watching.cancel()


async def test_what_is_not_required_leaves_the_service_serving() -> None:
    broker, health = Thing(), Health()
    watched = Dependencies(patience_s=0.02)
    watched.add("nats", broker.check, required=False)
    watching = asyncio.create_task(watched.watch(health.report))
    broker.state = "down"
    await eventually(lambda: health.has_said(("nats", False)))
    watching.cancel()


async def test_a_short_absence_is_none() -> None:
    database, health = Thing(), Health()
    watched = Dependencies(patience_s=60)
    watched.add("postgres", database.check, required=True)
    watching = asyncio.create_task(watched.watch(health.report))
    database.state = "down"
    seen = database.asked
    await eventually(lambda: _asked(database, seen + 5))
    assert health.said == []
    watching.cancel()


async def _asked(thing: Thing, times: int) -> bool:
    return thing.asked >= times
