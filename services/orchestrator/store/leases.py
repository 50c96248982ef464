"""Leases and progress: changes of a job that do not change its state, guarded by the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.orchestrator.store import jobs

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool
    from services.orchestrator.domain.job import Job

_RENEW = """
UPDATE video_generations SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE request_id = $1 AND epoch = $2 AND lease_owner IS NOT NULL
RETURNING lease_expires_at
"""
# Nothing falls: a resumed job shows its old figures until it is past them.
_REPORT = """
UPDATE video_generations SET
    lease_expires_at = clock_timestamp() + make_interval(secs => $2),
    progress_seq = progress_seq + 1,
    current_step = greatest(current_step, $3),
    percent = greatest(percent, $4),
    step_time_ms = CASE WHEN $5 > 0 THEN coalesce(step_time_ms * 0.8 + $5 * 0.2, $5) ELSE step_time_ms END,
    gpu_utilization = $6
WHERE request_id = $1
"""


@dataclass(frozen=True)
class Report:
    """What a worker reports of a step."""

    step: int
    percent: int
    step_time_ms: float
    gpu_utilization: float


async def renew(pool: Pool, request_id: UUID, epoch: int, lease_s: float) -> datetime | None:
    """Extends the lease of its holder; None when the job has another epoch or no holder."""
    expires_at: datetime | None = await pool.fetchval(_RENEW, request_id, epoch, lease_s)
    return expires_at


async def report(connection: Connection, request_id: UUID, report: Report, lease_s: float) -> Job:
    """Notes a step and extends the lease; the caller holds the row's lock and has compared the epoch."""
    await connection.execute(
        _REPORT, request_id, lease_s, report.step, report.percent, report.step_time_ms, report.gpu_utilization
    )
    job = await jobs.get(connection, request_id)
    assert job is not None  # noqa: S101 - it is locked
    return job
