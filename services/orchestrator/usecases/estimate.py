"""How long a new job will take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.orchestrator.domain.progress import Timing
from services.orchestrator.store import listing

if TYPE_CHECKING:
    from services.common.catalogue import Catalogue, ModelName
    from services.common.postgres import Pool
    from services.orchestrator.domain.spec import VideoSpec
    from services.orchestrator.store.listing import Queue

_PLANNED_CLIP_S = 5.0
_FRESH_S = 1.0


@dataclass(frozen=True)
class Estimate:
    """A foresight."""

    timing: Timing
    """Of the job alone."""
    total_s: int
    """Until it should be ready, with the queue."""


@dataclass(frozen=True)
class _Findings:
    """What the database said of a model and tier."""

    at: float
    """By the monotonic clock, seconds."""
    measured: Timing | None
    """Per second of clip; None before the first measurement."""
    queue: Queue


class Estimator:
    """Foresees from what this installation has measured; from the catalogue's plan until it has measured anything."""

    def __init__(self, pool: Pool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._found: dict[tuple[str, str], _Findings] = {}

    async def __call__(self, spec: VideoSpec) -> Estimate:
        """Estimates a job; time grows with the clip's length, and the jobs ahead count like this one."""
        found = await self._findings(spec.model, spec.tier)
        timing = self._timing(spec, found.measured)
        alone_s = timing.total_s(spec.steps_taken)
        # Jobs that run together show how many workers there are.
        wait_s = alone_s * (found.queue.waiting + min(1, found.queue.running)) / max(1, found.queue.running)
        return Estimate(timing, max(1, math.ceil(alone_s + wait_s)))

    def _timing(self, spec: VideoSpec, measured: Timing | None) -> Timing:
        seconds = float(spec.duration_seconds)
        if measured is not None:
            return Timing(measured.step_ms * seconds, measured.fixed_s * seconds)
        plan = self._catalogue.models[spec.model].tiers[spec.tier]
        scale = seconds / _PLANNED_CLIP_S
        return Timing(plan.step_ms * scale, plan.fixed_s * scale)

    async def _findings(self, model: ModelName, tier: str) -> _Findings:
        """Asks at most once in a while: the queue is counted row by row, and it is longest when most is asked."""
        found = self._found.get((model, tier))
        if found is None or time.monotonic() > found.at + _FRESH_S:
            measured = await listing.measured_timing(self._pool, model, tier)
            found = _Findings(time.monotonic(), measured, await listing.queue_for(self._pool, tier))
            self._found[model, tier] = found
        return found
