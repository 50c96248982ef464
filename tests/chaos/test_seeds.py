"""Random kills under a mixed load: a short selection of what `make chaos` goes on with."""

from __future__ import annotations

from tests.chaos.load import VIDEOS, Plan
from tests.chaos.rounds import Arena


async def test_kills_at_random_moments_violate_nothing(arena: Arena) -> None:
    result = await arena.play_kills(
        Plan([VIDEOS[0], VIDEOS[3], VIDEOS[0]], seed=7, cancelled=1), ["worker", "orchestrator", "postgres"]
    )
    assert result.wrong == [], str(result)
    assert len(result.history.jobs) == 3
    await arena.mesh.all_ready()
