"""Random kills under a mixed load: a short selection of what `make chaos` goes on with. And a rolling restart."""

from __future__ import annotations

import os
import signal

import pytest

from tests.chaos.load import VIDEOS, Load, Plan
from tests.chaos.rounds import Arena

ROLLED = (
    *("worker", "worker-2", "transcoder", "safety", "encoder"),
    *("scheduler", "billing", "orchestrator", "edge", "envoy"),
)
"""Every process of ours, and the gateway, in the order in which a release goes through."""


async def test_kills_at_random_moments_violate_nothing(arena: Arena) -> None:
    result = await arena.play_kills(Plan([VIDEOS[0]] * 3, seed=7, cancelled=1), ["worker", "orchestrator", "postgres"])
    assert result.wrong == [], str(result)
    assert len(result.history.jobs) == 3
    await arena.mesh.all_ready()


@pytest.mark.long
async def test_a_rolling_restart_takes_no_job_from_anybody(arena: Arena) -> None:
    async def roll(load: Load) -> None:
        for name in ROLLED:
            pid = arena.mesh.watch.pids[name]
            os.kill(pid, signal.SIGTERM)
            await arena.mesh.watch.replaced(name, pid)

    result = await arena.play(Plan([*VIDEOS, *VIDEOS], seed=20), roll, "rolling restart")
    assert result.wrong == [], str(result)
    assert {job.status for job in result.history.jobs} == {"COMPLETED"}
    # Whoever had a job gave it back; nobody had to wait for the end of a lease.
    assert [change.cause for change in result.history.changes if "lease-expired" in change.cause] == []
