"""What a worker tells while it works: steps and checkpoints."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from services.common.errors import FailedPrecondition, InvalidArgument
from services.common.faults import race_point
from services.common.formats import MAX_PREVIEW_BYTES
from services.common.postgres import Connection, transact
from services.orchestrator.domain.change import illegal_transition
from services.orchestrator.domain.progress import percent_done, phase_fraction
from services.orchestrator.domain.status import Status
from services.orchestrator.store import checkpoints, jobs, leases
from services.orchestrator.store.checkpoints import Checkpoint, NewCheckpoint
from services.orchestrator.store.leases import Report
from services.orchestrator.usecases.engine import JobEngine, lock_job, no_such_job, require_owner

if TYPE_CHECKING:
    from services.orchestrator.domain.job import Job

# The last checkpoint is copied in the background and may arrive when denoising is over.
_SAVING = {Status.GENERATING, Status.VAE_DECODING, Status.AUDIO_GENERATING}
_MAX_WORKER = 64
_JPEG = b"\xff\xd8\xff"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A reported step."""

    request_id: UUID
    epoch: int
    step: int
    total_steps: int
    fraction: float
    """Share of the state that is done, where steps do not say it."""
    step_time_ms: float
    worker_id: str
    gpu_utilization: float
    preview_jpeg: bytes
    """Empty for none."""


class ProgressKeeper:
    """Notes progress."""

    def __init__(self, engine: JobEngine, *, previews: bool) -> None:
        self._engine = engine
        self._previews = previews

    async def report(self, step: Step) -> Job:
        """Notes a step, extends the lease, and tells those who watch.

        Raises:
            FailedPrecondition: FENCED, also when the job has ended.
            InvalidArgument: The preview is no JPEG, or too large.
        """
        _require_small_jpeg(step.preview_jpeg)

        async def work(connection: Connection) -> Job:
            job = await lock_job(connection, step.request_id)
            require_owner(job, step.epoch)
            return await leases.report(connection, job.request_id, _to_report(job, step), self._engine.lease_s)

        job = await transact(self._engine.pool, work)
        await self._engine.feed.publish_progress(job, step.worker_id, step.preview_jpeg if self._previews else b"")
        return job

    async def save(self, checkpoint: NewCheckpoint, gpu_time_ms: int) -> Checkpoint:
        """Commits a checkpoint; the same one again gives the same answer.

        Raises:
            FailedPrecondition: FENCED, STALE_CHECKPOINT, ILLEGAL_TRANSITION.
        """
        if not _SHA256.fullmatch(checkpoint.sha256):
            raise InvalidArgument.of_field("checkpoint.state.sha256", "must be a lower-case hexadecimal sha256")
        if len(checkpoint.worker_id) > _MAX_WORKER:
            raise InvalidArgument.of_field("checkpoint.worker_id", f"must have at most {_MAX_WORKER} characters")
        job, stored, is_new = await transact(self._engine.pool, lambda c: self._save(c, checkpoint, gpu_time_ms))
        race_point("orchestrator.checkpoint.committed")
        if is_new:
            await self._engine.feed.publish_checkpoint(job, stored)
        return stored

    async def list(self, request_id: UUID) -> list[Checkpoint]:
        """Lists a job's checkpoints, newest first."""
        if await jobs.get(self._engine.pool, request_id) is None:
            raise no_such_job()
        return await checkpoints.newest_first(self._engine.pool, request_id)

    async def _save(self, connection: Connection, new: NewCheckpoint, gpu_time_ms: int) -> tuple[Job, Checkpoint, bool]:
        job = await lock_job(connection, new.request_id)
        existing = await checkpoints.find(connection, new.request_id, new.step_number)
        if existing and _same(existing, new):
            return job, existing, False
        require_owner(job, new.epoch)
        if job.status not in _SAVING:
            raise illegal_transition(job, f"a job that is {job.status} takes no checkpoints")
        _require_consistent(job, new)
        stored = await checkpoints.save(connection, new, max(0, gpu_time_ms), self._engine.lease_s)
        saved = await jobs.get(connection, job.request_id)
        return saved or job, stored, True


def _same(existing: Checkpoint, new: NewCheckpoint) -> bool:
    return (existing.epoch, existing.sha256, existing.synced_to_remote) == (
        new.epoch,
        new.sha256,
        new.synced_to_remote,
    )


def _require_consistent(job: Job, new: NewCheckpoint) -> None:
    if new.total_steps != job.total_steps or not 1 <= new.step_number <= new.total_steps:
        raise FailedPrecondition("STALE_CHECKPOINT", "the checkpoint does not fit the job's steps")
    if new.step_number < job.last_checkpoint_step:
        message = "a later checkpoint is committed"
        raise FailedPrecondition("STALE_CHECKPOINT", message, last_checkpoint_step=job.last_checkpoint_step)


def _to_report(job: Job, step: Step) -> Report:
    done = min(max(step.step, 0), job.total_steps)
    fraction = phase_fraction(job.status, done, job.total_steps, step.fraction)
    return Report(
        step=done,
        percent=min(99, percent_done(job.status, fraction)),
        step_time_ms=_measured(step.step_time_ms),
        gpu_utilization=min(1.0, _measured(step.gpu_utilization)),
    )


def _require_small_jpeg(preview: bytes) -> None:
    if preview and not (preview.startswith(_JPEG) and len(preview) <= MAX_PREVIEW_BYTES):
        raise InvalidArgument.of_field("preview_jpeg", f"must be a JPEG of at most {MAX_PREVIEW_BYTES} bytes")


def _measured(value: float) -> float:
    return max(0.0, value) if math.isfinite(value) else 0.0
