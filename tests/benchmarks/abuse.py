"""Prints how well a good client is served while others attack the gateway, and how each attack ends.

Run as `python -m tests.benchmarks.abuse`.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.attacks import Target, all_of, large_body, rapid_reset, slow_body, slow_headers
from tests.benchmarks.http_load import Asking, ask, request
from tests.benchmarks.machine import allow_files, load, quantiles_ms, resident_bytes, tell
from tests.fuzz.run import REQUESTS_PER_MINUTE, SETTINGS
from tests.support.front import Front, running_front

LARGE = 100 * 10**6
_LARGE_AT_ONCE = 8
_GOOD_AT_ONCE = 4
_SECONDS = 5.0
_LONGEST_S = 90.0


class Abuse:
    """A good client, and those who are not."""

    def __init__(self, front: Front, slow: int, resets: int) -> None:
        self._front = front
        self._slow = slow
        self._resets = resets
        self._target = Target(front.url, front.token("mallory"))
        self.served = True
        """Whether every request of the good client was answered as it should be."""

    async def run(self) -> None:
        """All attacks, one after the other."""
        await self._beside("before", self._nobody)
        large = f"{_LARGE_AT_ONCE} bodies of {LARGE / 1e6:g} MB"
        await self._beside(f"{large} that say so", partial(self._large, told=True))
        await self._beside(f"{large} that do not", partial(self._large, told=False))
        await self._beside(f"{self._slow} clients with slow headers", self._slow_headers)
        await self._beside(f"{self._slow} clients with slow bodies", self._slow_bodies)
        await self._beside(f"{self._resets} clients with rapid resets", self._rapid_resets)
        await self._beside("after", self._nobody)

    async def _beside(self, name: str, attack: Callable[[], Coroutine[Any, Any, str]]) -> None:
        envoy = self._front.watch.pids["envoy"]
        with _most_memory(envoy) as most:
            attacking = asyncio.create_task(attack())
            good = await self._ask_as_good_client(attacking)
            outcome = await attacking
        self.served = self.served and good[1] == 0
        tell(f"{name}: {outcome}")
        tell(f"  good client: {len(good[0])} answers, {good[1]} failed, {quantiles_ms(good[0])}; {load()}")
        tell(f"  Envoy: at most {max(most) / 2**20:.0f} MiB, {resident_bytes(envoy) / 2**20:.0f} MiB afterwards")

    async def _ask_as_good_client(self, attacking: asyncio.Task[str]) -> tuple[list[float], int]:
        """Asks as long as the attack lasts, and at least for a while."""
        asked = request(
            "GET", f"{self._front.url}/v1/account", {"authorization": f"Bearer {self._front.token('good')}"}
        )
        latencies: list[float] = []
        failed = 0
        while not latencies or not attacking.done():
            sample = await ask(Asking(self._front.url, lambda _: asked, 200, _GOOD_AT_ONCE, _SECONDS))
            latencies += sample.latencies_s
            failed += sample.failed
        return latencies, failed

    async def _nobody(self) -> str:
        return "nobody attacks"

    async def _large(self, *, told: bool) -> str:
        statuses = await all_of(_LARGE_AT_ONCE, lambda: large_body(self._target, LARGE, told=told))
        return f"answered {dict(Counter(statuses))}"

    async def _slow_headers(self) -> str:
        return _ended(await all_of(self._slow, lambda: slow_headers(self._target)))

    async def _slow_bodies(self) -> str:
        return _ended(await all_of(self._slow, lambda: slow_body(self._target)))

    async def _rapid_resets(self) -> str:
        sent = await all_of(self._resets, lambda: rapid_reset(self._target))
        return f"closed after {min(sent):g} to {max(sent):g} resets"


def _ended(seconds: list[float]) -> str:
    kept = sum(1 for one in seconds if one >= _LONGEST_S)
    return f"cut off after {statistics.median(seconds):.1f} s in the median, {max(seconds):.1f} s at most; {kept} kept"


@contextmanager
def _most_memory(pid: int) -> Iterator[list[int]]:
    """Collects how much memory a process has, several times a second."""
    seen = [resident_bytes(pid)]

    async def look() -> None:
        while True:
            seen.append(resident_bytes(pid))
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()


async def _run(slow: int, resets: int) -> bool:
    allow_files(2 * slow + 1000)
    with tempfile.TemporaryDirectory(prefix="kinemesh-abuse-") as directory:
        settings = {"requests_per_minute": REQUESTS_PER_MINUTE}
        async with running_front(Path(directory), SETTINGS, **settings) as front:
            abuse = Abuse(front, slow, resets)
            await abuse.run()
            return abuse.served


def main() -> int:
    """Attacks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--resets", type=int, default=20)
    asked = parser.parse_args()
    served = asyncio.run(_run(asked.slow, asked.resets))
    tell(f"the good client was always served: {'yes' if served else 'NO'}")
    return 0 if served else 1


if __name__ == "__main__":
    raise SystemExit(main())
