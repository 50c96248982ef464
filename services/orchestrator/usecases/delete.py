"""Deleting a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.orchestrator.domain import change
from services.orchestrator.store import jobs
from services.orchestrator.usecases.engine import JobEngine
from services.orchestrator.usecases.reading import parse_id, video_not_found

if TYPE_CHECKING:
    from services.common.postgres import Connection
    from services.orchestrator.domain.job import Job


class DeleteVideo:
    """Ends a video if need be and empties it; its row stays for the books, its objects go with the next purge."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine

    async def __call__(self, user_id: str, request_id: str) -> Job:
        """Deletes in one transaction.

        Raises:
            NotFound: VIDEO_NOT_FOUND.
        """
        key = parse_id(request_id)
        if key is None:
            raise video_not_found()

        async def work(connection: Connection) -> tuple[Job, bool]:
            job = await jobs.lock(connection, key)
            if job is None or job.user_id != user_id or job.deleted_at is not None:
                raise video_not_found()
            cancelled = not job.status.terminal
            if cancelled:
                job = await self._engine.apply(connection, job, change.cancel(job))
            await jobs.erase(connection, key)
            return job, cancelled

        return await self._engine.run(work)
