"""The queue's table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from services.common.postgres import Connection, Pool
from services.scheduler.domain.jobs import QueuedJob, Tier

if TYPE_CHECKING:
    import asyncpg

_COLUMNS = """request_id, user_id, tier, priority, model, prompt_embedding_path, duration_seconds, resolution,
    num_steps, enable_audio, enqueued_at"""
# A job that was given back, by preemption or for a lost worker, keeps the place it had.
_PUT = f"""
INSERT INTO job_queue ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
    least($11, (SELECT min(enqueued_at) FROM assignments WHERE request_id = $1)))
ON CONFLICT (request_id) DO UPDATE SET received_at = clock_timestamp(), priority = excluded.priority,
    prompt_embedding_path = excluded.prompt_embedding_path, model = excluded.model, num_steps = excluded.num_steps
"""  # noqa: S608 - constants
_LIST = f"SELECT {_COLUMNS} FROM job_queue"  # noqa: S608 - constants
_NOW = "SELECT clock_timestamp()"
_REMOVE = "DELETE FROM job_queue WHERE request_id = $1"
_DROP = "DELETE FROM job_queue WHERE request_id = $1 AND received_at < $2"
_DROP_OTHERS = "DELETE FROM job_queue WHERE received_at < $1 AND NOT request_id = ANY($2)"


async def now(pool: Pool) -> datetime:
    """The database's clock."""
    moment: datetime = await pool.fetchval(_NOW)
    return moment


async def put(pool: Pool, jobs: Iterable[QueuedJob]) -> None:
    """Adds jobs; one that is there already is noted as seen again."""
    await pool.executemany(_PUT, [_to_row(job) for job in jobs])


async def list_all(pool: Pool) -> list[QueuedJob]:
    """Lists the queue, in no order."""
    return [_to_job(row) for row in await pool.fetch(_LIST)]


async def remove(connection: Connection, request_id: UUID) -> None:
    """Takes a job out."""
    await connection.execute(_REMOVE, request_id)


async def drop(pool: Pool, request_id: UUID, seen_before: datetime) -> None:
    """Takes a job out, unless it was put in again since."""
    await pool.execute(_DROP, request_id, seen_before)


async def drop_others(pool: Pool, keep: Iterable[UUID], seen_before: datetime) -> int:
    """Takes out everything but these jobs and those put in since; returns how many."""
    status = await pool.execute(_DROP_OTHERS, seen_before, list(keep))
    return int(status.removeprefix("DELETE "))


def _to_row(job: QueuedJob) -> tuple[object, ...]:
    return (
        job.request_id,
        job.user_id,
        job.tier,
        job.priority,
        job.model,
        job.prompt_embedding_path,
        job.duration_seconds,
        job.resolution,
        job.num_steps,
        job.enable_audio,
        job.enqueued_at,
    )


def _to_job(row: asyncpg.Record) -> QueuedJob:
    return QueuedJob(**{**row, "tier": Tier(row["tier"])})
