"""The table of what was assigned to whom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from services.common.postgres import Connection, Pool, transact
from services.scheduler.domain.jobs import QueuedJob, Tier
from services.scheduler.domain.workers import Finished, Outcome
from services.scheduler.store import queue

_CLOSE_FOR = """
UPDATE assignments SET finished_at = clock_timestamp(), outcome = 'LOST'
WHERE finished_at IS NULL AND (request_id = $1 OR worker_id = $2)
"""
_OPEN = """
INSERT INTO assignments (request_id, epoch, worker_id, user_id, tier, priority, num_steps, enqueued_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (request_id, epoch) DO UPDATE SET finished_at = NULL, outcome = NULL, preempt_ordered_at = NULL,
    worker_id = excluded.worker_id
RETURNING assigned_at
"""
# A worker that was cut off tells afterwards what became of a job that counts as lost by then.
_FINISH = """
UPDATE assignments SET finished_at = clock_timestamp(), outcome = $4, duration_ms = $5
WHERE request_id = $1 AND epoch = $2 AND worker_id = $3 AND (finished_at IS NULL OR outcome = 'LOST')
"""
_COUNT = """
UPDATE gpu_workers SET
    average_generation_time_ms = CASE WHEN $2 = 0 THEN average_generation_time_ms ELSE
        least((average_generation_time_ms::bigint * jobs_completed_today + $4) / (jobs_completed_today + 1), 2147483647)
        END,
    jobs_completed_today = jobs_completed_today + $2,
    error_count_today = error_count_today + $3
WHERE worker_id = $1
"""
_LOSE = """
UPDATE assignments SET finished_at = clock_timestamp(), outcome = 'LOST'
WHERE worker_id = $1 AND finished_at IS NULL AND NOT (request_id = $2 AND epoch = $3)
RETURNING request_id, epoch
"""
# Of workers that have said for a while that they have no job, and of workers that stay away.
_LOSE_ORPHANS = """
UPDATE assignments a SET finished_at = clock_timestamp(), outcome = 'LOST'
FROM gpu_workers w
WHERE a.worker_id = w.worker_id AND a.finished_at IS NULL AND (
    (w.status IN ('IDLE', 'READY') AND w.current_request_id IS NULL
        AND w.last_heartbeat > a.assigned_at + make_interval(secs => $1))
    OR (w.status = 'OFFLINE' AND w.last_heartbeat < clock_timestamp() - 4 * make_interval(secs => $1)))
RETURNING a.request_id
"""
_PREEMPT = "UPDATE assignments SET preempt_ordered_at = clock_timestamp() WHERE request_id = $1 AND epoch = $2"
_LAST_SERVED = """
SELECT user_id, tier, max(assigned_at) AS served FROM assignments
WHERE assigned_at > clock_timestamp() - interval '1 hour' GROUP BY user_id, tier
"""
_NOBODY = UUID(int=0)


async def open_for(pool: Pool, job: QueuedJob, epoch: int, worker_id: str) -> datetime:
    """Notes an assignment and takes the job out of the queue; returns the time of it.

    Whatever was open for the job or the worker is over: the orchestrator has just given the job to this worker.
    """

    async def work(connection: Connection) -> datetime:
        await connection.execute(_CLOSE_FOR, job.request_id, worker_id)
        await queue.remove(connection, job.request_id)
        row = (job.request_id, epoch, worker_id, job.user_id, job.tier, job.priority, job.num_steps, job.enqueued_at)
        assigned_at: datetime = await connection.fetchval(_OPEN, *row)
        return assigned_at

    return await transact(pool, work)


async def finish(pool: Pool, worker_id: str, finished: Finished) -> bool:
    """Closes an assignment and counts it; returns False when it was closed before."""

    async def work(connection: Connection) -> bool:
        key = (finished.request_id, finished.epoch, worker_id)
        status = await connection.execute(_FINISH, *key, finished.outcome, finished.duration_ms)
        if status == "UPDATE 1":
            done, failed = finished.outcome is Outcome.DONE, finished.outcome is Outcome.FAILED
            await connection.execute(_COUNT, worker_id, int(done), int(failed), finished.duration_ms)
        return status == "UPDATE 1"

    return await transact(pool, work)


async def lose(connection: Connection, worker_id: str, but: tuple[UUID, int] | None) -> list[tuple[UUID, int]]:
    """Closes the worker's open assignments except the one it still works on; returns job and epoch of each."""
    rows = await connection.fetch(_LOSE, worker_id, *(but or (_NOBODY, 0)))
    return [(row["request_id"], row["epoch"]) for row in rows]


async def lose_orphans(pool: Pool, after_s: float) -> Iterable[UUID]:
    """Closes assignments their worker knows nothing of, or whose worker stays away; returns the jobs."""
    return [row["request_id"] for row in await pool.fetch(_LOSE_ORPHANS, after_s)]


async def note_preemption(pool: Pool, request_id: UUID, epoch: int) -> None:
    """Notes that the job was ordered back."""
    await pool.execute(_PREEMPT, request_id, epoch)


async def last_served(pool: Pool) -> dict[tuple[str, Tier], datetime]:
    """When each user last got a worker in each tier, as far as the last hour goes."""
    return {(row["user_id"], Tier(row["tier"])): row["served"] for row in await pool.fetch(_LAST_SERVED)}
