"""How long a new job will take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.orchestrator.domain.progress import Timing
from services.orchestrator.store import listing

if TYPE_CHECKING:
    from services.common.catalogue import Catalogue
    from services.common.postgres import Pool
    from services.orchestrator.domain.spec import VideoSpec

_PLANNED_CLIP_S = 5.0


@dataclass(frozen=True)
class Estimate:
    """A foresight."""

    timing: Timing
    """Of the job alone."""
    total_s: int
    """Until it should be ready, with the queue."""


class Estimator:
    """Foresees from what this installation has measured; from the catalogue's plan until it has measured anything."""

    def __init__(self, pool: Pool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue

    async def __call__(self, spec: VideoSpec) -> Estimate:
        """Estimates a job; time grows with the clip's length, and the jobs ahead count like this one."""
        timing = await self._timing(spec)
        alone_s = timing.total_s(spec.steps_taken)
        queue = await listing.queue_for(self._pool, spec.tier)
        # Jobs that run together show how many workers there are.
        wait_s = alone_s * (queue.waiting + min(1, queue.running)) / max(1, queue.running)
        return Estimate(timing, max(1, math.ceil(alone_s + wait_s)))

    async def _timing(self, spec: VideoSpec) -> Timing:
        seconds = float(spec.duration_seconds)
        measured = await listing.measured_timing(self._pool, spec.model, spec.tier)
        if measured is not None:
            return Timing(measured.step_ms * seconds, measured.fixed_s * seconds)
        plan = self._catalogue.models[spec.model].tiers[spec.tier]
        scale = seconds / _PLANNED_CLIP_S
        return Timing(plan.step_ms * scale, plan.fixed_s * scale)
