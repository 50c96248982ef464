"""Taking jobs and keeping them: claim, assign, renew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.errors import FailedPrecondition, InvalidArgument
from services.common.postgres import Connection, transact
from services.orchestrator.domain import change
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status
from services.orchestrator.events import STAGES
from services.orchestrator.store import checkpoints, jobs, leases
from services.orchestrator.store.checkpoints import Checkpoint
from services.orchestrator.usecases.engine import JobEngine, lock_job, no_such_job

_MAX_OWNER = 128
_MAX_WORKER = 64


@dataclass(frozen=True)
class Assignment:
    """A job and where to resume it."""

    job: Job
    checkpoint: Checkpoint | None


class Claims:
    """Gives jobs to those who work on them."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine

    async def claim(self, stage: job_service_pb2.Stage.ValueType, owner: str) -> Job | None:
        """Gives the most urgent due job of a stage to a caller; None when there is none.

        A caller whose answer was lost does not know of the job; its lease ends, and the job is claimed again.
        """
        _require_name("owner", owner, _MAX_OWNER)
        statuses = [status for status, of_stage in STAGES.items() if of_stage == stage]
        if not statuses:
            raise InvalidArgument.of_field("stage", "must name a stage")

        async def work(connection: Connection) -> Job | None:
            job = await jobs.lock_claimable(connection, statuses)
            if job is None:
                return None
            return await self._engine.apply(connection, job, change.claim(job, owner))

        claimed = await transact(self._engine.pool, work)
        if claimed is not None:
            await self._engine.announce(claimed)
        return claimed

    async def assign(self, request_id: UUID, worker_id: str, model: str | None = None) -> Assignment:
        """Gives a QUEUED job to a worker; for the worker that has just got it, the same answer again.

        Args:
            request_id: The job.
            worker_id: Who gets it.
            model: The model it must be of; None for any.
        """
        _require_name("worker_id", worker_id, _MAX_WORKER)
        newest: list[Checkpoint] = []

        async def work(connection: Connection) -> tuple[Job, bool]:
            job = await lock_job(connection, request_id)
            newest[:] = await checkpoints.newest_first(connection, request_id, 1)
            if job.status is Status.ASSIGNED and job.lease_owner == worker_id:
                return job, False
            if job.status is not Status.QUEUED:
                raise change.illegal_transition(job, f"a job that is {job.status} cannot be assigned")
            if model is not None and job.model != model:
                raise change.illegal_transition(job, f"the job has moved to {job.model}")
            return await self._engine.apply(connection, job, change.assign(job, worker_id)), True

        job = await self._engine.run(work)
        return Assignment(job, newest[0] if newest else None)

    async def renew(self, request_id: UUID, epoch: int) -> datetime:
        """Extends a lease; returns its end.

        Raises:
            FailedPrecondition: FENCED.
        """
        expires_at = await leases.renew(self._engine.pool, request_id, epoch, self._engine.lease_s)
        if expires_at is not None:
            return expires_at
        job = await jobs.get(self._engine.pool, request_id)
        if job is None:
            raise no_such_job()
        raise FailedPrecondition("FENCED", "the job is not the caller's any more", epoch=job.epoch)


def _require_name(field: str, name: str, longest: int) -> None:
    if not name or len(name) > longest:
        raise InvalidArgument.of_field(field, f"must have 1 to {longest} characters")
