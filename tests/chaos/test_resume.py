"""A worker is killed at a step: another resumes from the last checkpoint, and nobody can tell from the clip."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from typing import Any

import pytest

from services.common.faults import RacePoint
from tests.chaos.faults.disks import needs_disks, small_disk
from tests.chaos.history.model import Change, History
from tests.chaos.load import VIDEOS, Load, Plan
from tests.chaos.rounds import Arena

STEPS = int(VIDEOS[3]["num_inference_steps"])
CHECKPOINT_EVERY = 2
"""As `tests.chaos.mesh.QUICK` sets it."""
AGAIN_WITHIN_S = 30.0


@pytest.mark.long
@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_a_worker_killed_at_a_step_costs_at_most_one_interval(arena: Arena, step: int) -> None:
    async def kill(load: Load) -> None:
        arena.mesh.points.arm("worker.generate.step", step)
        pid = await arena.mesh.points.reached("worker.generate.step", step)
        with arena.mesh.held_down(arena.mesh.name_of(pid)):
            arena.mesh.points.release(pid, signal.SIGKILL)
            killed.append(time.time())
            await load.over.wait()

    killed: list[float] = []
    result = await arena.play(Plan([VIDEOS[3]], seed=100 + step), kill, f"killed worker at step {step}")
    assert result.wrong == [], str(result)
    (job,) = result.history.jobs
    assert job.status == "COMPLETED"
    first, second = _generations(result.history)
    kept = max((row.step for row in result.history.checkpoints if row.epoch == first.epoch), default=0)
    again_s = second.occurred_at.timestamp() - killed[0]
    print(f"step {step}: {step - 1 - kept} steps lost, generating again after {again_s:.1f} s")
    assert step - 1 - kept <= CHECKPOINT_EVERY
    assert again_s <= AGAIN_WITHIN_S
    workers = {row.epoch: row.worker for row in result.history.assignments}
    assert workers[first.epoch] != workers[second.epoch]
    await arena.mesh.all_ready()


def _generations(history: History) -> list[Change]:
    return [change for change in history.changes if change.status == "GENERATING"]


POINTS: list[tuple[RacePoint, object]] = [
    ("worker.assignment.confirmed", None),
    ("worker.checkpoint.before_copy", None),
    ("worker.checkpoint.before_row", None),
    ("worker.checkpoint.committed", None),
    ("orchestrator.checkpoint.committed", None),
    ("orchestrator.accept.reserved", None),
    ("orchestrator.accept.committed", None),
    ("outbox.before_publish", None),
    ("outbox.before_mark", None),
    ("scheduler.assign.committed", None),
    ("stage.claimed", "encoding"),
    ("stage.claimed", "safety"),
    ("stage.claimed", "transcoding"),
    ("claim.before_advance", 6),
    ("claim.advanced", 6),
    ("claim.before_advance", 7),
    ("claim.before_advance", 8),
    ("claim.before_advance", 9),
    ("claim.before_advance", 10),
    ("claim.before_advance", 11),
    ("claim.advanced", 11),
    ("billing.settlement.committed", None),
    ("orchestrator.webhook.posted", None),
]


@pytest.mark.long
@pytest.mark.parametrize(("point", "qualifier"), POINTS)
async def test_a_process_killed_at_a_race_point_loses_nothing(
    arena: Arena, point: RacePoint, qualifier: object
) -> None:
    async def kill(load: Load) -> None:
        pid = await arena.mesh.points.reached(point, qualifier)
        arena.mesh.points.release(pid, signal.SIGKILL)

    # Not while the clip to compare with is made.
    await arena.learn([VIDEOS[0]])
    arena.mesh.points.arm(point, qualifier)
    plan = Plan([VIDEOS[0]], seed=200 + POINTS.index((point, qualifier)))
    result = await arena.play(plan, kill, f"killed at {point} {qualifier or ''}")
    assert result.wrong == [], str(result)
    assert [job.status for job in result.history.jobs] == ["COMPLETED"]
    if point == "orchestrator.webhook.posted":
        assert len(result.history.hits) >= 2
    await arena.mesh.all_ready()


@pytest.mark.long
async def test_a_worker_that_stands_still_past_its_lease_commits_nothing(arena: Arena) -> None:
    seed = 300
    known: dict[str, Any] = {}

    async def stop(load: Load) -> None:
        arena.mesh.points.arm("worker.generate.step", 3)
        zombie = await arena.mesh.points.reached("worker.generate.step", 3)
        await load.over.wait()
        known.update(await arena.books(seed).read())
        arena.mesh.points.release(zombie)
        # A worker that tells of itself, and has nothing in hand, has said all that it had to say of the job.
        await arena.mesh.all_workers_idle()

    result = await arena.play(Plan([VIDEOS[3]], seed), stop, "stopped a worker past its lease")
    assert result.wrong == [], str(result)
    assert [job.status for job in result.history.jobs] == ["COMPLETED"]
    assert result.history.changes == known["changes"]
    assert result.history.checkpoints == known["checkpoints"]
    first, second = _generations(result.history)
    print(f"another worker generated {(second.occurred_at - first.occurred_at).total_seconds():.1f} s after the first")


@needs_disks
@pytest.mark.long
async def test_a_full_disk_of_the_workers_costs_checkpoints_not_the_video(arena: Arena) -> None:
    home = arena.mesh.home.directory
    await arena.learn([VIDEOS[3]])
    with ExitStack() as stack:
        for scratch in ("scratch", "scratch-2"):
            stack.enter_context(small_disk(home / scratch / "checkpoints", size_kib=32))
        result = await arena.play(Plan([VIDEOS[3]], seed=310), what="the workers' disks are full")
    assert result.wrong == [], str(result)
    assert [job.status for job in result.history.jobs] == ["COMPLETED"]
    assert result.history.checkpoints == []
