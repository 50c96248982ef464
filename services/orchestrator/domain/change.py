"""Changes of a job's state: decided here, carried out by the store in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from services.common.errors import FailedPrecondition
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.progress import percent_done
from services.orchestrator.domain.settlement import settle
from services.orchestrator.domain.status import ADVANCES, STAGE_STATES, TRANSITIONS, WORKER_STATES, Status

_MADE_FOR_MODEL = frozenset({
    "prompt_embedding_uri", "reference_video", "latents", "latent", "mezzanine", "audio", "audio_record",
})  # fmt: skip
"""Artifacts that are of no use to another model."""
_KEEPS_LEASE = {(Status.TRANSCODING, Status.UPLOADING)}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One edge of the state machine, taken by one job."""

    to: Status
    cause: str
    """The call that asks for it, with its arguments; a repeated call is recognised by it."""
    lease: Literal["keep", "drop"] | str = "drop"
    """What becomes of the lease; the name of an owner gives him a new one."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Columns to set."""
    delay_s: float = 0.0
    """Seconds until a stage may claim the job."""

    def with_fields(self, **more: Any) -> Change:
        """The same change that sets more columns."""
        return replace(self, fields={**self.fields, **more})


@dataclass(frozen=True)
class AttemptPolicy:
    """When a job that fails again and again is given up."""

    max_attempts: int
    """Failed attempts in a row without progress (a checkpoint or a finished state)."""
    max_attempts_total: int
    """Failed attempts in all."""

    def exhausted_by(self, stalled: int, total: int) -> bool:
        """Whether so many failures are too many."""
        return stalled >= self.max_attempts or total >= self.max_attempts_total


def require_edge(job: Job, to: Status | None) -> Status:
    """Raises FailedPrecondition (ILLEGAL_TRANSITION) unless AdvanceJob may take the job there."""
    if to is None or (job.status, to) not in ADVANCES:
        target = "an unknown state" if to is None else to
        raise illegal_transition(job, f"a job that is {job.status} cannot become {target}")
    return to


def illegal_transition(job: Job, message: str) -> FailedPrecondition:
    """The error for a call that the job's state does not allow."""
    return FailedPrecondition("ILLEGAL_TRANSITION", message, status=job.status.value, job_status=job.status.value)


def advance(job: Job, to: Status, cause: str) -> Change:
    """The owner has finished a state."""
    fields: dict[str, Any] = {**_progress(job, to)}
    if job.status is Status.ASSIGNED and job.started_at is None:
        fields |= {"started_at": job.read_at, "deadline": job.read_at + timedelta(seconds=job.work_limit_s)}
    if job.status is not Status.ASSIGNED:
        # Entering a state by resumption is no progress: a job whose decoding crashes must not do so for ever.
        fields["stalled_attempts"] = 0
    same_owner = (job.status, to) in _KEEPS_LEASE or to in WORKER_STATES
    return Change(to=to, cause=cause, lease="keep" if same_owner else "drop", fields=fields)


def claim(job: Job, owner: str) -> Change:
    """A stage takes a job: PENDING to ENCODING, the others stay in their state."""
    to = Status.ENCODING if job.status is Status.PENDING else job.status
    return Change(to=to, cause=f"claim:{job.epoch}", lease=owner, fields=_progress(job, to))


def assign(job: Job, worker_id: str) -> Change:
    """The scheduler gives a queued job to a worker."""
    cause = f"assign:{job.epoch}"
    return Change(to=Status.ASSIGNED, cause=cause, lease=worker_id, fields=_progress(job, Status.ASSIGNED))


def move(job: Job, from_model: str, to_model: str, cause: str) -> Change:
    """Another model shall draw a queued job: from the start, for the price and at the progress that there were."""
    names = [plan["model"] for plan in job.fallbacks]
    if job.status is not Status.QUEUED or job.model != from_model or to_model not in names:
        raise illegal_transition(job, f"a job that is {job.status} for {job.model} cannot move to {to_model}")
    chosen = names.index(to_model)
    plan = job.fallbacks[chosen]
    fields = {
        **plan,
        "total_steps": plan["num_inference_steps"],
        "guidance_scale": Decimal(plan["guidance_scale"]),
        # Nobody is asked twice.
        "fallbacks": job.fallbacks[chosen + 1 :],
        "requested_model": job.requested_model or job.model,
        "artifacts": {name: artifact for name, artifact in job.artifacts.items() if name not in _MADE_FOR_MODEL},
        "current_step": 0,
        "last_checkpoint_step": 0,
        "checkpoint_path": None,
        "step_time_ms": None,
        "stalled_attempts": 0,
        "started_at": None,
        "deadline": max(job.deadline, job.read_at + timedelta(seconds=plan["work_limit_s"])),
    }
    return Change(to=Status.PENDING, cause=cause, fields={**fields, **_progress(job, Status.PENDING)})


def give_back(job: Job, cause: str) -> Change:
    """Makes a job claimable again without blame."""
    if job.status in WORKER_STATES:
        return Change(to=Status.QUEUED, cause=cause, fields=_progress(job, Status.QUEUED))
    if job.status in STAGE_STATES:
        return Change(to=job.status, cause=cause)
    raise illegal_transition(job, f"a job that is {job.status} cannot be given back")


def retry(job: Job, cause: str, policy: AttemptPolicy, error: tuple[str, str]) -> Change:
    """Counts a failed attempt: makes the job claimable again, or ends it when that was the last one.

    Args:
        job: The job.
        cause: The call.
        policy: How many attempts there are.
        error: Code and text that the user gets if the job ends.
    """
    attempts, stalled = job.attempts + 1, job.stalled_attempts + 1
    counted = {"attempts": attempts, "stalled_attempts": stalled}
    if policy.exhausted_by(stalled, attempts):
        return fail(job, cause, *error).with_fields(**counted)
    change = give_back(job, cause).with_fields(**counted)
    # Stages must not spin on a job that fails at once; a queued job waits for its worker anyway.
    return change if change.to is Status.QUEUED else replace(change, delay_s=float(2 ** min(stalled, 5) - 1))


def fail(job: Job, cause: str, code: str, message: str) -> Change:
    """Ends the job with an error."""
    return _end(job, Status.FAILED, cause).with_fields(error_code=code, error_message=message)


def block(job: Job, cause: str, reason: str, score: float) -> Change:
    """Ends the job for its content."""
    if (job.status, Status.BLOCKED) not in TRANSITIONS:
        raise illegal_transition(job, f"a job that is {job.status} cannot be blocked")
    change = _end(job, Status.BLOCKED, cause).with_fields(blocked_reason=reason)
    if job.status is Status.GENERATING:
        # A provider refused it, without a score.
        return change
    scored = "post_gen_safety_score" if job.status is Status.SAFETY_CHECKING else "pre_gen_safety_score"
    return change.with_fields(**{scored: round(score, 3)})


def cancel(job: Job) -> Change:
    """Ends the job at the user's wish."""
    return _end(job, Status.CANCELLED, "cancel")


def complete(job: Job, cause: str) -> Change:
    """Ends the job with its result."""
    elapsed = job.read_at - (job.started_at or job.created_at)
    change = _end(job, Status.COMPLETED, cause)
    return change.with_fields(percent=100, generation_time_ms=int(elapsed.total_seconds() * 1000))


def _end(job: Job, to: Status, cause: str) -> Change:
    division = settle(job, to)
    return Change(
        to=to,
        cause=cause,
        fields={
            "current_phase": to.phase,
            "completed_at": job.read_at,
            "credits_used": division.captured,
            "credits_refunded": division.refunded,
        },
    )


def _progress(job: Job, to: Status) -> dict[str, Any]:
    return {"current_phase": to.phase, "percent": max(job.percent, percent_done(to, 0.0))}
