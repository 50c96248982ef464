"""Mishaps: before a call nothing has happened, after it everything has; and a seed decides."""

from __future__ import annotations

import pytest

from tests.chaos.faults.flaky import Mishaps


class Counter:
    """Something that has an effect."""

    def __init__(self) -> None:
        self.value = 0

    async def add(self) -> int:
        self.value += 1
        return self.value


async def test_a_call_that_fails_before_is_not_executed() -> None:
    counter, mishaps = Counter(), Mishaps(seed=1, before=1, after=0)
    with pytest.raises(ConnectionError):
        await mishaps.around(counter.add, ConnectionError)
    assert counter.value == 0


async def test_a_call_that_fails_after_is_executed() -> None:
    counter, mishaps = Counter(), Mishaps(seed=1, before=0, after=1)
    with pytest.raises(ConnectionError):
        await mishaps.around(counter.add, ConnectionError)
    assert counter.value == 1


async def outcomes(seed: int) -> list[bool]:
    counter, mishaps, failed = Counter(), Mishaps(seed), []
    for _ in range(500):
        try:
            await mishaps.around(counter.add, ConnectionError)
            failed.append(False)
        except ConnectionError:
            failed.append(True)
    assert counter.value == 500 - mishaps.counts["before"]
    return failed


async def test_a_seed_decides_what_fails() -> None:
    assert await outcomes(4) == await outcomes(4) != await outcomes(5)
    assert 10 < sum(await outcomes(4)) < 50
