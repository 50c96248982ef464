"""Having another model draw a job whose own cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from services.orchestrator.domain import change
from services.orchestrator.store import checkpoints, jobs
from services.orchestrator.usecases.engine import JobEngine, lock_job

if TYPE_CHECKING:
    from services.common.postgres import Connection
    from services.orchestrator.domain.job import Job


class MoveJob:
    """Moves jobs at the scheduler's wish, which knows what the workers offer; the user allowed it at accept."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine

    async def __call__(self, request_id: UUID, from_model: str, to_model: str) -> Job:
        """Puts a queued job before its encoding again, for the other model; the same call again only answers.

        Raises:
            NotFound: RESOURCE_NOT_FOUND.
            FailedPrecondition: ILLEGAL_TRANSITION: not queued for that model, or not allowed to move to the other.
        """
        # Nothing returns to a model that it left, so the two names tell the call from every other.
        cause = f"move:{from_model}:{to_model}"

        async def work(connection: Connection) -> tuple[Job, bool]:
            job = await lock_job(connection, request_id)
            if await jobs.was_caused(connection, request_id, cause):
                return job, False
            moved = await self._engine.apply(connection, job, change.move(job, from_model, to_model, cause))
            await checkpoints.forget(connection, request_id)
            return moved, True

        return await self._engine.run(work)
