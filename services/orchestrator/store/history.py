"""The history of jobs, for those who watch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.orchestrator.domain.status import Status

if TYPE_CHECKING:
    from services.common.postgres import Pool


@dataclass(frozen=True)
class StateChange:
    """A row of `job_events`."""

    rev: int
    previous: Status | None
    status: Status
    occurred_at: datetime


async def changes_between(pool: Pool, request_id: UUID, after_rev: int, to_rev: int) -> list[StateChange]:
    """Reads a job's changes of state after one revision up to another, oldest first."""
    rows = await pool.fetch(
        """SELECT rev, previous_status, status, occurred_at FROM job_events
        WHERE request_id = $1 AND rev > $2 AND rev <= $3 ORDER BY rev""",
        request_id,
        after_rev,
        to_rev,
    )
    return [
        StateChange(
            row["rev"],
            Status(row["previous_status"]) if row["previous_status"] else None,
            Status(row["status"]),
            row["occurred_at"],
        )
        for row in rows
    ]
