"""What a job's end costs: captured + refunded = the price fixed at accept, always."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status

_CREDIT = Decimal("0.0001")
_DENOISING_SHARE = Decimal("0.90")
_DONE_AFTER_DENOISING = {
    Status.VAE_DECODING: Decimal("0.90"),
    Status.AUDIO_GENERATING: Decimal("0.94"),
    Status.SAFETY_CHECKING: Decimal("0.96"),
    Status.TRANSCODING: Decimal("0.97"),
    Status.UPLOADING: Decimal("0.99"),
}


@dataclass(frozen=True)
class Settlement:
    """How a job's reservation is divided."""

    captured: Decimal
    refunded: Decimal


def settle(job: Job, end: Status) -> Settlement:
    """Divides the reservation: COMPLETED captures all, FAILED and BLOCKED nothing, CANCELLED what was done."""
    shares = {Status.COMPLETED: Decimal(1), Status.CANCELLED: done_share(job)}
    captured = (job.cost_credits * shares.get(end, Decimal(0))).quantize(_CREDIT, ROUND_HALF_UP)
    return Settlement(captured, job.cost_credits - captured)


def done_share(job: Job) -> Decimal:
    """Share of the work that a user who cancels pays for, 0 to 0.99.

    Denoising is 90 % of the work and counts by steps; the states after it have fixed shares. While no worker has the
    job only steps kept in a checkpoint count, as lost ones are our loss. Preparing costs nothing.
    """
    if job.status in _DONE_AFTER_DENOISING:
        return _DONE_AFTER_DENOISING[job.status]
    if job.status not in {Status.QUEUED, Status.ASSIGNED, Status.GENERATING}:
        return Decimal(0)
    if job.has_latents:
        return _DENOISING_SHARE
    steps = job.current_step if job.status is Status.GENERATING else job.last_checkpoint_step
    return _DENOISING_SHARE * steps / max(1, job.total_steps)
