"""Lists of jobs, figures over many jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.orchestrator.domain.job import COLUMNS, Job
from services.orchestrator.domain.progress import Timing
from services.orchestrator.domain.status import Status

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool

_SELECT = f"SELECT {', '.join(COLUMNS)}, clock_timestamp() AS read_at FROM video_generations"  # noqa: S608 - constants
_OF_USER = "user_id = $1 AND ($2::text IS NULL OR status = $2) AND deleted_at IS NULL"
_MEASURED = """
SELECT avg(step_time_ms / duration_seconds::float8) AS step_ms,
       avg(greatest(0, generation_time_ms - step_time_ms * total_steps) / 1000 / duration_seconds::float8) AS fixed_s
FROM (SELECT * FROM video_generations
      WHERE status = 'COMPLETED' AND model = $1 AND tier = $2 AND step_time_ms IS NOT NULL AND attempts = 0
      ORDER BY completed_at DESC LIMIT 20) AS recent
"""
_WAITING = """
SELECT count(*) FILTER (WHERE status IN ('PENDING', 'ENCODING', 'QUEUED')) AS waiting,
       count(*) FILTER (WHERE status IN ('ASSIGNED', 'GENERATING', 'VAE_DECODING', 'AUDIO_GENERATING')) AS running
FROM video_generations
WHERE completed_at IS NULL AND tier = ANY(CASE $1 WHEN 'REALTIME' THEN ARRAY['REALTIME']
    WHEN 'STANDARD' THEN ARRAY['REALTIME', 'STANDARD'] ELSE ARRAY['REALTIME', 'STANDARD', 'CINEMA'] END)
"""


@dataclass(frozen=True)
class Cursor:
    """The last job of a page."""

    created_at: datetime
    request_id: UUID


@dataclass(frozen=True)
class Queue:
    """How busy the installation is, as a new job of some tier would see it."""

    waiting: int
    running: int


async def of_user(
    pool: Pool, user_id: str, status: Status | None, limit: int, *, offset: int = 0, after: Cursor | None = None
) -> list[Job]:
    """Reads a user's jobs, newest first, from an offset or after a cursor."""
    rows = await pool.fetch(
        f"""{_SELECT} WHERE {_OF_USER} AND ($3::timestamptz IS NULL OR (created_at, request_id) < ($3, $4::uuid))
        ORDER BY created_at DESC, request_id DESC LIMIT $5 OFFSET $6""",
        user_id,
        status,
        after.created_at if after else None,
        after.request_id if after else None,
        limit,
        offset,
    )
    return [Job.from_row(row) for row in rows]


async def of_user_ascending(
    pool: Pool, user_id: str, status: Status | None, limit: int, *, after: Cursor | None = None
) -> list[Job]:
    """Reads a user's jobs, oldest first, from a cursor on."""
    rows = await pool.fetch(
        f"""{_SELECT} WHERE {_OF_USER} AND ($3::timestamptz IS NULL OR (created_at, request_id) > ($3, $4::uuid))
        ORDER BY created_at, request_id LIMIT $5""",
        user_id,
        status,
        after.created_at if after else None,
        after.request_id if after else None,
        limit,
    )
    return [Job.from_row(row) for row in rows]


async def count_of_user(pool: Pool, user_id: str, status: Status | None) -> int:
    """Counts a user's jobs."""
    count: int = await pool.fetchval(
        f"SELECT count(*) FROM video_generations WHERE {_OF_USER}",  # noqa: S608 - a constant
        user_id,
        status,
    )
    return count


async def in_status(pool: Pool, status: Status, limit: int, after: Cursor | None) -> list[Job]:
    """Reads jobs in a state, oldest first."""
    rows = await pool.fetch(
        f"""{_SELECT} WHERE status = $1 AND ($2::timestamptz IS NULL OR (created_at, request_id) > ($2, $3::uuid))
        ORDER BY created_at, request_id LIMIT $4""",
        status,
        after.created_at if after else None,
        after.request_id if after else None,
        limit,
    )
    return [Job.from_row(row) for row in rows]


async def measured_timing(pool: Pool, model: str, tier: str) -> Timing | None:
    """Average times per second of clip over the newest undisturbed jobs of the kind; None when there are none."""
    row = await pool.fetchrow(_MEASURED, model, tier)
    return None if row is None or row["step_ms"] is None else Timing(row["step_ms"], row["fixed_s"])


async def queue_for(pool: Pool, tier: str) -> Queue:
    """Counts the jobs a new one of this tier competes with."""
    row = await pool.fetchrow(_WAITING, tier)
    assert row is not None  # noqa: S101 - counts always come
    return Queue(row["waiting"], row["running"])


async def count_by_status(pool: Pool) -> dict[str, int]:
    """Counts the unfinished jobs by state."""
    rows = await pool.fetch(
        "SELECT status, count(*) AS jobs FROM video_generations WHERE completed_at IS NULL GROUP BY status"
    )
    return {row["status"]: row["jobs"] for row in rows}


async def lock_quiet_queued(connection: Connection, quiet_s: float, limit: int) -> list[Job]:
    """Reads QUEUED jobs that have not been announced for a while, and notes that they now are."""
    rows = await connection.fetch(
        f"""UPDATE video_generations SET announced_at = clock_timestamp() WHERE request_id IN (
            SELECT request_id FROM video_generations WHERE status = 'QUEUED'
            AND greatest(announced_at, updated_at) < clock_timestamp() - make_interval(secs => $1)
            ORDER BY announced_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING {", ".join(COLUMNS)}, clock_timestamp() AS read_at""",  # noqa: S608 - constants
        quiet_s,
        limit,
    )
    return [Job.from_row(row) for row in rows]


async def due_statuses(connection: Connection, quiet_s: float) -> list[Status]:
    """Finds states with jobs that have been waiting for their stage for a while."""
    rows = await connection.fetch(
        """SELECT DISTINCT status FROM video_generations
        WHERE status IN ('PENDING', 'ENCODING', 'SAFETY_CHECKING', 'TRANSCODING', 'UPLOADING') AND lease_owner IS NULL
        AND greatest(available_at, updated_at) < clock_timestamp() - make_interval(secs => $1)""",
        quiet_s,
    )
    return [Status(row["status"]) for row in rows]
