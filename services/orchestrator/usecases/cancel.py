"""Cancelling a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.errors import Conflict
from services.orchestrator.domain import change
from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs
from services.orchestrator.usecases.engine import JobEngine
from services.orchestrator.usecases.reading import parse_id, video_not_found

if TYPE_CHECKING:
    from services.common.postgres import Connection
    from services.orchestrator.domain.job import Job

_WHY_NOT = {
    Status.COMPLETED: "Video already completed",
    Status.FAILED: "Video already failed",
    Status.BLOCKED: "Video was blocked",
}


class CancelVideo:
    """Ends a video at its owner's wish, whoever works on it: the epoch rises, so that they learn at their next call."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine

    async def __call__(self, user_id: str, request_id: str) -> Job:
        """Cancels and fixes the refund in one transaction; a cancelled video gives the same answer again.

        Raises:
            NotFound: VIDEO_NOT_FOUND.
            Conflict: VIDEO_ALREADY_FINISHED.
        """
        key = parse_id(request_id)
        if key is None:
            raise video_not_found()

        async def work(connection: Connection) -> tuple[Job, bool]:
            job = await jobs.lock(connection, key)
            if job is None or job.user_id != user_id or job.deleted_at is not None:
                raise video_not_found()
            if job.status is Status.CANCELLED:
                return job, False
            if job.status.terminal:
                raise _already_finished(job)
            return await self._engine.apply(connection, job, change.cancel(job)), True

        return await self._engine.run(work)


def _already_finished(job: Job) -> Conflict:
    return Conflict(
        "VIDEO_ALREADY_FINISHED",
        _WHY_NOT[job.status],
        title="Cannot cancel",
        status=job.status.value,
        job_status=job.status.value,
    )
