"""Jobs whose model nobody offers, moved to one that somebody does, where their users allowed it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from uuid import UUID

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from services.common.postgres import Pool
from services.scheduler import convert
from services.scheduler.domain.jobs import QueuedJob
from services.scheduler.domain.placement import Situation
from services.scheduler.metrics import MOVES
from services.scheduler.store import queue

_WITHIN_S = 5.0
_AT_ONCE = 50

logger = logging.getLogger(__name__)


class Unserved:
    """Since when nobody offers a model that jobs wait for."""

    def __init__(self, after_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._after_s = after_s
        self._clock = clock
        self._since: dict[str, float] = {}

    def due(self, jobs: Collection[QueuedJob], offered: Collection[str]) -> list[QueuedJob]:
        """Returns the jobs whose model has not been offered for long enough."""
        now = self._clock()
        missing = {job.model for job in jobs}.difference(offered)
        self._since = {model: self._since.get(model, now) for model in missing}
        return [job for job in jobs if now - self._since.get(job.model, now) >= self._after_s]


class Mover:
    """Asks the orchestrator to move them. The queue does not say what a job may be moved to, so that is asked once."""

    def __init__(self, pool: Pool, jobs: job_service_pb2_grpc.JobServiceAsyncStub, unserved: Unserved) -> None:
        self._pool = pool
        self._jobs = jobs
        self._unserved = unserved
        self._fallbacks: dict[UUID, list[str]] = {}

    async def run(self, situation: Situation) -> None:
        """Moves what is due; what cannot be moved now is looked at again in the next round."""
        offered = {model for worker in situation.workers for model in worker.models}
        due = self._unserved.due(situation.queue, offered)
        waiting = {job.request_id for job in situation.queue}
        self._fallbacks = {key: names for key, names in self._fallbacks.items() if key in waiting}
        for job in due[:_AT_ONCE]:
            try:
                await self._move(job, offered, situation)
            except grpc.aio.AioRpcError as exc:
                logger.warning("job not moved", extra={"request_id": str(job.request_id), "code": exc.code().name})

    async def _move(self, job: QueuedJob, offered: Collection[str], situation: Situation) -> None:
        target = next((name for name in await self._fallbacks_of(job) if name in offered), None)
        if target is None:
            return
        request = job_service_pb2.MoveJobRequest(
            request_id=str(job.request_id), from_model=convert.model(job.model), to_model=convert.model(target)
        )
        await self._jobs.MoveJob(request, timeout=_WITHIN_S)
        # It comes back once it is encoded for the other model.
        await queue.drop(self._pool, job.request_id, situation.now)
        MOVES.labels(job.model, target).inc()
        fields = {"request_id": str(job.request_id), "from_model": job.model, "to_model": target}
        logger.info("job moved", extra=fields)

    async def _fallbacks_of(self, job: QueuedJob) -> list[str]:
        if job.request_id not in self._fallbacks:
            request = job_service_pb2.GetJobRequest(request_id=str(job.request_id))
            found = (await self._jobs.GetJob(request, timeout=_WITHIN_S)).job
            self._fallbacks[job.request_id] = [convert.model_name(model) for model in found.fallbacks]
        return self._fallbacks[job.request_id]
