"""Prints what a request through the gateway costs, against the least that it could cost on the same machine.

Run as `python -m tests.benchmarks.cost`. `GET /v1/videos/{id}` is held against a bare gRPC echo behind the same Envoy,
and `POST /v1/videos` against the durable commits that the same PostgreSQL gives alone. They take turns, so that a busy
machine meets them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from deploy.local.ports import free_ports
from deploy.local.process import Program, running
from tests.benchmarks.http_load import Asking, Sample, ask, request
from tests.benchmarks.machine import cpu_seconds, load, tell
from tests.fuzz.run import REQUESTS_PER_MINUTE, SETTINGS
from tests.support.front import Front, running_front
from tests.support.mesh import SMALL_VIDEO

GET_GOAL, ACCEPT_GOAL = 1.5, 0.5
_ACCEPTING = ("envoy", "orchestrator", "billing", "safety")
_USERS = 8


@dataclass
class Measured:
    """All rounds of one kind of request."""

    samples: list[Sample] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """CPU time a request, of Envoy and of the services that take part."""

    @property
    def per_s(self) -> float:
        return statistics.median(sample.per_s for sample in self.samples)

    @property
    def p50_ms(self) -> float:
        return 1000 * statistics.median(at for sample in self.samples for at in sample.latencies_s)

    @property
    def failed(self) -> int:
        return sum(sample.failed for sample in self.samples)

    def __str__(self) -> str:
        cpu = f", {statistics.median(self.cpu_ms):.2f} ms of CPU" if self.cpu_ms else ""
        failed = f", {self.failed} FAILED" if self.failed else ""
        return f"{self.per_s:7.0f} a second, p50 {self.p50_ms:6.2f} ms{cpu}{failed}"


@dataclass(frozen=True)
class Bench:
    """A front and an echo behind one Envoy."""

    front: Front
    echo_pid: int
    at_once: int
    seconds: float

    async def echo(self) -> tuple[Sample, float]:
        """The bare echo."""
        asked = request("GET", f"{self.front.url}/v1/account", self._headers("user-0"))
        return await self._ask(lambda _: asked, 200, [self.front.watch.pids["envoy"], self.echo_pid])

    async def get(self, video: str) -> tuple[Sample, float]:
        """A video of the caller's."""
        asked = request("GET", f"{self.front.url}/v1/videos/{video}", self._headers("user-0"))
        pids = [self.front.watch.pids[name] for name in ("envoy", "orchestrator")]
        return await self._ask(lambda _: asked, 200, pids)

    async def accept(self) -> tuple[Sample, float]:
        """A new video each time, of several users."""
        body = json.dumps(SMALL_VIDEO).encode()
        headers = [self._headers(f"user-{number}") for number in range(_USERS)]
        url = f"{self.front.url}/v1/videos"

        def make(number: int) -> bytes:
            own = {**headers[number % _USERS], "content-type": "application/json", "x-request-id": str(uuid.uuid4())}
            return request("POST", url, own, body)

        return await self._ask(make, 202, [self.front.watch.pids[name] for name in _ACCEPTING])

    async def committed(self) -> int:
        """Transactions that the mesh has committed so far."""
        (row,) = await self.front.rows("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(row["xact_commit"])

    async def commit(self) -> Sample:
        """Rows committed by the same PostgreSQL, one a transaction, on as many connections."""
        sample = Sample(seconds=self.seconds)
        connections = [await asyncpg.connect(self.front.inside.postgres.dsn()) for _ in range(self.at_once)]
        await connections[0].execute("CREATE TABLE IF NOT EXISTS commits (id uuid PRIMARY KEY, body jsonb NOT NULL)")
        loop = asyncio.get_running_loop()
        until = loop.time() + self.seconds

        async def insert(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            while (now := loop.time()) < until:
                await connection.execute("INSERT INTO commits VALUES ($1, $2)", uuid.uuid4(), json.dumps(SMALL_VIDEO))
                sample.latencies_s.append(loop.time() - now)

        await asyncio.gather(*map(insert, connections))
        for connection in connections:
            await connection.close()
        return sample

    async def _ask(self, make: Callable[[int], bytes], expected: int, pids: list[int]) -> tuple[Sample, float]:
        before = sum(map(cpu_seconds, pids))
        sample = await ask(Asking(self.front.url, make, expected, self.at_once, self.seconds))
        used = sum(map(cpu_seconds, pids)) - before
        return sample, 1000 * used / max(1, len(sample.latencies_s))

    def _headers(self, user: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.front.token(user)}"}


async def measure(bench: Bench, rounds: int) -> bool:
    """Measures and prints; returns whether both goals are met."""
    async with bench.front.user("user-0") as user:
        video = await user.accepted()
    echo, get, accept, commit = Measured(), Measured(), Measured(), Measured()

    async def add(measured: Measured, asking: Awaitable[tuple[Sample, float]]) -> None:
        sample, cpu_ms = await asking
        measured.samples.append(sample)
        measured.cpu_ms.append(cpu_ms)

    for _ in range(rounds):
        await add(echo, bench.echo())
        await add(get, bench.get(video))
        await add(accept, bench.accept())
        commit.samples.append(await bench.commit())
    return _tell(bench, echo=echo, get=get, accept=accept, commit=commit)


def _tell(bench: Bench, *, echo: Measured, get: Measured, accept: Measured, commit: Measured) -> bool:
    tell(f"{bench.at_once} connections, {load()}")
    for name, measured in (("bare echo", echo), ("GET video", get), ("POST video", accept), ("commits", commit)):
        tell(f"{name:<11} {measured}")
    cpu = statistics.median(get.cpu_ms) / statistics.median(echo.cpu_ms)
    share = accept.per_s / commit.per_s
    tell(f"GET: {echo.per_s / get.per_s:.2f} x the time of the bare echo, {cpu:.2f} x its CPU (goal {GET_GOAL} x)")
    tell(f"accepts: {share:.0%} of the durable commits (goal {ACCEPT_GOAL:.0%})")
    return min(echo.per_s / get.per_s, cpu) <= GET_GOAL and share >= ACCEPT_GOAL


async def _run(at_once: int, seconds: float, rounds: int) -> bool:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="kinemesh-cost-") as directory:
        home = Path(directory)
        program = _echo_program(address, home / "echo.log")
        settings = {"requests_per_minute": REQUESTS_PER_MINUTE, "billing_address": address}
        async with running(program) as echo, running_front(home / "mesh", SETTINGS, **settings) as front:
            return await measure(Bench(front, echo.pid, at_once, seconds), rounds)


def _echo_program(address: str, log: Path) -> Program:
    async def probe() -> None:
        host, _, port = address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()

    return Program(name="echo", argv=(sys.executable, "-m", "tests.benchmarks.echo", address), log=log, probe=probe)


def main() -> int:
    """Measures; returns the exit status, which does not depend on the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    met = asyncio.run(_run(asked.at_once, asked.seconds, asked.rounds))
    tell(f"goals met: {'yes' if met else 'no'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
