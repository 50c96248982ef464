"""What other services read of jobs, whoever owns them."""

from __future__ import annotations

from uuid import UUID

from services.common.errors import InvalidArgument
from services.common.postgres import Pool
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs, listing
from services.orchestrator.usecases.engine import no_such_job
from services.orchestrator.usecases.reading import page_token, read_page_token

_DEFAULT_PAGE = 100
_MAX_PAGE = 1000


class Inspection:
    """Reads jobs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, request_id: UUID) -> Job:
        """Reads a job.

        Raises:
            NotFound: RESOURCE_NOT_FOUND.
        """
        job = await jobs.get(self._pool, request_id)
        if job is None:
            raise no_such_job()
        return job

    async def list(self, status: Status | None, page_size: int, token: str) -> tuple[list[Job], str]:
        """Lists jobs in a state, oldest first, with the token of the next page."""
        if status is None:
            raise InvalidArgument.of_field("status", "must name a state")
        if page_size < 0:
            raise InvalidArgument.of_field("page_size", "must not be negative")
        size = min(page_size or _DEFAULT_PAGE, _MAX_PAGE)
        found = await listing.in_status(self._pool, status, size + 1, read_page_token(token))
        return found[:size], page_token(found[size - 1]) if len(found) > size else ""
