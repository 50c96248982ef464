"""Prints how many event streams of real jobs one orchestrator process holds through Envoy, and what each costs.

Run as `python -m tests.benchmarks.streams`. The jobs are moved through JobService, one step a second each; every stream
must be told every step, and the end. One reader more does not read; it must be dropped, and nobody with it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from tests.benchmarks.event_stream import EventStream, open_stream
from tests.benchmarks.machine import allow_files, cpu_seconds, load, quantiles_ms, resident_bytes, tell
from tests.benchmarks.slow_reader import is_dropped_alone
from tests.fuzz.run import REQUESTS_PER_MINUTE, SETTINGS
from tests.support.front import WORKER, Front, running_front

STEPS = 100
_OPENING_AT_ONCE = 200
_PATIENCE_S = 60.0
_MEASURED = ("orchestrator", "envoy")


@dataclass
class Film:
    """A job, its owner, and when each of its steps was reported."""

    owner: str
    job: pb.Job
    reported_at: dict[int, float] = field(default_factory=dict)
    streams: list[EventStream] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.job.request.request_id

    def delays_s(self) -> list[float]:
        """From the report of a step to its arrival, over all streams."""
        return [at - self.reported_at[step] for stream in self.streams for step, at in stream.steps.items() if step]


async def measure(front: Front, streams: int, jobs: int, seconds: int) -> bool:
    """Runs it and prints the figures; returns whether nothing was refused or missed."""
    films = [await _make_film(front, number) for number in range(jobs)]
    before = {name: resident_bytes(front.watch.pids[name]) for name in _MEASURED}
    refused = await _open_streams(front, films, streams)
    memory = {name: resident_bytes(front.watch.pids[name]) - before[name] for name in _MEASURED}
    for name, used in memory.items():
        tell(f"{name}: {used / 2**20:.0f} MiB for {streams} streams, {used / streams / 1024:.0f} KiB each")
    busy = {name: cpu_seconds(front.watch.pids[name]) for name in _MEASURED}
    late_s = max(await asyncio.gather(*(_play(front, film, seconds, n / jobs) for n, film in enumerate(films))))
    for name, used_before in busy.items():
        tell(f"{name}: {(cpu_seconds(front.watch.pids[name]) - used_before) / seconds:.0%} of a core")
    await _let_arrive(films, seconds)
    _tell_delivery(films, streams, seconds, late_s)
    missed = await _end(front, films)
    tell(f"refused: {refused}; ends missed: {missed}; {load()}")
    dropped = await is_dropped_alone(front)
    tell(f"a slow reader is dropped alone: {'yes' if dropped else 'NO'}")
    return refused == 0 and missed == 0 and dropped


async def _make_film(front: Front, number: int) -> Film:
    owner = f"owner-{number}"
    async with front.user(owner) as user:
        video = await user.accepted(num_inference_steps=STEPS)
    return Film(owner, await front.generating(video))


async def _open_streams(front: Front, films: Sequence[Film], count: int) -> int:
    """Spreads the streams over the films; returns how many were refused."""
    gate = asyncio.Semaphore(_OPENING_AT_ONCE)
    started = time.monotonic()

    async def open_one(film: Film) -> bool:
        async with gate:
            stream = await open_stream(front.url, film.id, front.token(film.owner))
            await stream.wait_started(_PATIENCE_S)
        film.streams.append(stream)
        return stream.accepted

    accepted = await asyncio.gather(*(open_one(films[number % len(films)]) for number in range(count)))
    tell(f"{count} streams of {len(films)} jobs opened in {time.monotonic() - started:.1f} s")
    return accepted.count(False)


async def _play(front: Front, film: Film, seconds: int, offset_s: float) -> float:
    """Reports a step every second; returns by how much the last one was late."""
    begin = time.monotonic() + 1 + offset_s
    for step in range(1, seconds + 1):
        # By deadline, so that a slow answer does not stretch the second.
        await asyncio.sleep(max(0.0, begin + step - time.monotonic()))
        film.reported_at[step] = time.monotonic()
        report = pb.ReportProgressRequest(
            request_id=film.id, epoch=film.job.epoch, step=step, total_steps=STEPS, worker_id=WORKER
        )
        await front.jobs.ReportProgress(report)
    return time.monotonic() - begin - seconds


async def _let_arrive(films: Sequence[Film], seconds: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if all(seconds in stream.steps for film in films for stream in film.streams):
            return
        await asyncio.sleep(0.1)


def _tell_delivery(films: Sequence[Film], streams: int, seconds: int, late_s: float) -> None:
    delays = [delay for film in films for delay in film.delays_s()]
    tell(f"steps delivered: {len(delays)} of {streams * seconds}; {quantiles_ms(delays)} after the report")
    tell(f"the last report was answered {late_s * 1000:.0f} ms after its time")


async def _end(front: Front, films: Sequence[Film]) -> int:
    """Cancels all jobs at once; returns how many streams were not told."""
    started = time.monotonic()

    async def cancel(film: Film) -> None:
        async with front.user(film.owner) as user:
            assert (await user.call("DELETE", f"/v1/videos/{film.id}")).status == 200

    await asyncio.gather(*(cancel(film) for film in films))
    told = [stream.wait_ended(_PATIENCE_S) for film in films for stream in film.streams]
    ended = await asyncio.gather(*told)
    tell(f"all jobs cancelled at once: everybody told within {time.monotonic() - started:.1f} s")
    return ended.count(False)


async def _run(streams: int, jobs: int, seconds: int) -> bool:
    allow_files(streams + 2000)
    with tempfile.TemporaryDirectory(prefix="kinemesh-streams-") as directory:
        settings = {**SETTINGS, "orchestrator": {**SETTINGS["orchestrator"], "KINEMESH_LEASE_S": "600"}}
        async with running_front(Path(directory), settings, requests_per_minute=REQUESTS_PER_MINUTE) as front:
            return await measure(front, streams, jobs, seconds)


def main() -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    asked = parser.parse_args()
    return 0 if asyncio.run(_run(asked.streams, asked.jobs, min(asked.seconds, STEPS))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
