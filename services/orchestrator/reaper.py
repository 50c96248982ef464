"""Takes jobs away from owners that gave no sign of life, and ends those that came to nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import Counter

from services.common.postgres import Connection, transact
from services.common.telemetry.metrics import BACKGROUND_ERRORS
from services.orchestrator.domain import change
from services.orchestrator.domain.change import AttemptPolicy, Change
from services.orchestrator.store import jobs

if TYPE_CHECKING:
    from services.orchestrator.domain.job import Job
    from services.orchestrator.usecases.engine import JobEngine

REAPED = Counter("kinemesh_orchestrator_reaped_total", "Jobs taken from their owner or given up, by cause.", ["cause"])
_BATCH = 50
_TIMEOUT = ("GENERATION_TIMEOUT", "Generation exceeded time limit")
_LOST = ("ATTEMPTS_EXHAUSTED", "the video could not be made in several attempts")

logger = logging.getLogger(__name__)


class Reaper:
    """Decides by the database's clock alone; several replicas may reap at once."""

    def __init__(self, engine: JobEngine, policy: AttemptPolicy) -> None:
        self._engine = engine
        self._policy = policy

    async def run_once(self) -> None:
        """Handles everything that is due now."""
        while await self._reap_batch() == _BATCH:
            pass

    async def _reap_batch(self) -> int:
        async def work(connection: Connection) -> list[Job]:
            lost = await jobs.lock_lost(connection, _BATCH)
            return [reaped for job in lost if (reaped := await self._reap(connection, job))]

        reaped = await transact(self._engine.pool, work)
        for job in reaped:
            cause = job.error_code or "lease expired"
            REAPED.labels(cause).inc()
            logger.warning("job reaped", extra={"job_id": str(job.request_id), "status": job.status, "cause": cause})
            await self._engine.announce(job)
        return len(reaped)

    async def _reap(self, connection: Connection, job: Job) -> Job | None:
        """One job that cannot be changed must not keep the others; None for it."""
        try:
            async with connection.transaction():
                return await self._engine.apply(connection, job, self._decide(job))
        except Exception:
            BACKGROUND_ERRORS.labels("reaper").inc()
            logger.exception("job not reaped", extra={"job_id": str(job.request_id)})
            return None

    def _decide(self, job: Job) -> Change:
        if job.deadline < job.read_at:
            return change.fail(job, f"deadline:{job.epoch}", *_TIMEOUT)
        return change.retry(job, f"lease-expired:{job.epoch}", self._policy, _LOST)
