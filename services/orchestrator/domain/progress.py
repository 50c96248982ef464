"""How far a job is: percent of the whole, and seconds left."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status

_SPANS = {
    Status.PENDING: (0, 0),
    Status.ENCODING: (0, 5),
    Status.QUEUED: (5, 5),
    Status.ASSIGNED: (5, 15),
    Status.GENERATING: (15, 90),
    Status.VAE_DECODING: (90, 94),
    Status.AUDIO_GENERATING: (94, 96),
    Status.SAFETY_CHECKING: (96, 97),
    Status.TRANSCODING: (97, 99),
    Status.UPLOADING: (99, 99),
    Status.COMPLETED: (100, 100),
}
"""Percent of the whole job at the beginning and at the end of a state. Step 30 of 50 is 60 %."""

_FIXED_LEFT = {
    Status.VAE_DECODING: 0.7,
    Status.AUDIO_GENERATING: 0.5,
    Status.SAFETY_CHECKING: 0.35,
    Status.TRANSCODING: 0.25,
    Status.UPLOADING: 0.05,
}
"""Share of the work besides denoising that is left when a state begins."""


@dataclass(frozen=True)
class Timing:
    """What a job of some kind takes."""

    step_ms: float
    """Time of one denoising step."""
    fixed_s: float
    """Time of everything else."""

    def total_s(self, steps: int) -> float:
        """Time of the whole job once a worker has it, seconds."""
        return steps * self.step_ms / 1000 + self.fixed_s


def percent_done(status: Status, fraction: float) -> int:
    """Percent of the whole job when `fraction` of the state is done; 0 for ends without a result.

    Callers keep the maximum of this and what was shown before.
    """
    start, end = _SPANS.get(status, (0, 0))
    return math.floor(start + (end - start) * min(max(fraction, 0.0), 1.0) + 0.5)


def phase_fraction(status: Status, step: int, total_steps: int, reported: float) -> float:
    """Share of the state that is done: steps count while denoising, elsewhere the reporter knows."""
    if status is Status.GENERATING and total_steps > 0:
        return step / total_steps
    return 0.0 if math.isnan(reported) else reported


def remaining_seconds(job: Job) -> int:
    """Seconds until the job should end, from its measured step time or else the plan; 0 once it has ended.

    Waiting for a worker is not foreseen here, only work.
    """
    if job.status.terminal:
        return 0
    left_s = job.planned_fixed_s * _FIXED_LEFT.get(job.status, 1.0)
    if job.status not in _FIXED_LEFT and not job.has_latents:
        step_ms = job.step_time_ms or job.planned_step_ms
        left_s += max(0, job.total_steps - job.current_step) * step_ms / 1000
    return max(1, math.ceil(left_s))
