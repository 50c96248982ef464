"""A REALTIME video takes a worker from a CINEMA one, which cannot be told afterwards from one that was left alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.history.model import Change, Job, of_job
from tests.chaos.load import SMALL, VIDEOS, Load, Plan
from tests.chaos.receiver import SECRET
from tests.chaos.rounds import Arena, Result
from tests.support.waiting import eventually

CINEMA: dict[str, Any] = {"model": "cinema", "num_inference_steps": 40, "enable_audio": False, "seed": 5}
CINEMAS = [CINEMA, {**CINEMA, "seed": 6}]
"""One for each worker."""


@pytest.mark.long
async def test_a_realtime_video_starts_within_two_steps_of_a_cinema_one(arena: Arena) -> None:
    result = await arena.play(Plan(CINEMAS, seed=401), lambda load: _interrupt(arena, load), "preempted CINEMA")
    assert result.wrong == [], str(result)
    victim, realtime = _victim(result), _of_tier(result, "REALTIME")
    started = next(change for change in _changes(result, realtime) if change.status == "GENERATING")
    waiting = next(change for change in _changes(result, realtime) if change.status == "QUEUED")
    requeued = next(change for change in _changes(result, victim) if change.cause.endswith("PREEMPTED"))
    steps = await _steps_between(arena, result, waiting, requeued)
    wait_s = (started.occurred_at - waiting.occurred_at).total_seconds()
    print(f"REALTIME started {wait_s:.1f} s after it was queued, the CINEMA video made {steps} steps meanwhile")
    assert steps <= 2


async def _interrupt(arena: Arena, load: Load) -> None:
    """Asks for a REALTIME video once both workers are some steps into a CINEMA one."""

    async def both_busy() -> bool:
        busy = await arena.mesh.rows(
            """SELECT FROM orchestrator.video_generations
            WHERE user_id LIKE '%-401' AND status = 'GENERATING' AND current_step BETWEEN 4 AND 30"""
        )
        return len(busy) == len(CINEMAS)

    await eventually(both_busy, timeout_s=120)
    body = {**SMALL, **VIDEOS[0], "webhook_url": load.webhook_url, "webhook_secret": SECRET}
    video = await load.clients[0].create("00000000-0000-4000-8000-000000000401", body)
    assert video is not None
    load.streams.append(await load.clients[0].watch(video))


def _victim(result: Result) -> Job:
    (request_id,) = {change.request_id for change in result.history.changes if change.cause.endswith("PREEMPTED")}
    return next(job for job in result.history.jobs if job.request_id == request_id)


def _of_tier(result: Result, tier: str) -> Job:
    return next(job for job in result.history.jobs if tier in job.spec)


def _changes(result: Result, job: Job) -> list[Change]:
    return result.history.changes_of(job)


async def _steps_between(arena: Arena, result: Result, waiting: Change, requeued: Change) -> int:
    """Steps of the victim that were reported after the other was queued, by the checkpoint it was given back with."""
    victim = _victim(result)
    (kept,) = await arena.mesh.rows(
        "SELECT max(step_number) step FROM orchestrator.video_checkpoints WHERE request_id = $1::uuid AND epoch < $2",
        victim.request_id,
        requeued.epoch,
    )
    reported = [
        event.step or 0
        for stream in of_job(result.history.streams, victim)
        for event in stream.events
        if event.at is not None and event.at <= waiting.occurred_at
    ]
    return int(kept["step"]) - max(reported, default=0)
