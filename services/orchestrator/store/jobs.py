"""Jobs: reading them, and the one way to change their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.common import outbox
from services.common.postgres import Connection, Pool
from services.orchestrator import events
from services.orchestrator.domain.change import Change
from services.orchestrator.domain.job import COLUMNS, Job
from services.orchestrator.domain.status import TRANSITIONS, Status

_SELECT = f"SELECT {', '.join(COLUMNS)}, clock_timestamp() AS read_at FROM video_generations"  # noqa: S608 - constants
_RETURNING = f"RETURNING {', '.join(COLUMNS)}, clock_timestamp() AS read_at"
_CLAIMABLE = f"""
{_SELECT}
WHERE status = ANY($1) AND lease_owner IS NULL AND available_at <= clock_timestamp() AND deadline > clock_timestamp()
ORDER BY CASE tier WHEN 'REALTIME' THEN 0 WHEN 'STANDARD' THEN 1 ELSE 2 END, created_at
LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# As the source lists them; a cancellation is no news to the user who made it.
_WEBHOOK_EVENTS = {Status.COMPLETED: "video.completed", Status.FAILED: "video.failed", Status.BLOCKED: "video.blocked"}
_ANNOUNCE_DELIVERY = "INSERT INTO webhook_deliveries (delivery_id, request_id, event) VALUES ($1, $2, $3)"


async def get(source: Pool | Connection, request_id: UUID) -> Job | None:
    """Reads a job."""
    row = await source.fetchrow(f"{_SELECT} WHERE request_id = $1", request_id)
    return Job.from_row(row) if row else None


async def lock(connection: Connection, request_id: UUID) -> Job | None:
    """Reads a job and keeps others from changing it until the transaction ends."""
    row = await connection.fetchrow(f"{_SELECT} WHERE request_id = $1 FOR UPDATE", request_id)
    return Job.from_row(row) if row else None


async def lock_claimable(connection: Connection, statuses: Sequence[Status]) -> Job | None:
    """Locks the most urgent job of these states that nobody has."""
    row = await connection.fetchrow(_CLAIMABLE, list(statuses))
    return Job.from_row(row) if row else None


async def lock_lost(connection: Connection, limit: int) -> list[Job]:
    """Locks jobs whose lease or deadline has passed, skipping those that somebody else handles.

    By chance, so that none that cannot be handled keeps others from their turn.
    """
    rows = await connection.fetch(
        f"""{_SELECT}
        WHERE completed_at IS NULL AND (lease_expires_at < clock_timestamp() OR deadline < clock_timestamp())
        ORDER BY random() LIMIT $1 FOR UPDATE SKIP LOCKED""",
        limit,
    )
    return [Job.from_row(row) for row in rows]


async def insert(connection: Connection, columns: Mapping[str, Any], deadline_s: float) -> Job:
    """Makes a PENDING job and announces it."""
    names, places = ", ".join(columns), ", ".join(f"${i}" for i in range(1, len(columns) + 1))
    row = await connection.fetchrow(
        f"INSERT INTO video_generations ({names}, deadline) "  # noqa: S608 - the names are literals of our code
        f"VALUES ({places}, clock_timestamp() + make_interval(secs => ${len(columns) + 1})) {_RETURNING}",
        *columns.values(),
        deadline_s,
    )
    assert row is not None  # noqa: S101 - RETURNING
    job = Job.from_row(row)
    await _announce(connection, job, None)
    return job


async def apply(connection: Connection, job: Job, change: Change, lease_s: float) -> Job:
    """Takes an edge: compare-and-set on (status, epoch), the history row by trigger, and the messages it causes.

    The caller holds the row's lock, so that the comparison cannot fail; the trigger refuses what is not legal.
    """
    update = _Assignments(job.request_id, job.status, job.epoch)
    update.add("status", change.to)
    update.add("epoch", job.epoch + TRANSITIONS.get((job.status, change.to), False))
    update.add("cause", change.cause)
    update.add("available_at", change.delay_s, "clock_timestamp() + make_interval(secs => {})")
    if change.lease != "keep":
        update.add("lease_owner", None if change.lease == "drop" else change.lease)
    lease_left_s = None if change.lease == "drop" else lease_s
    update.add("lease_expires_at", lease_left_s, "clock_timestamp() + make_interval(secs => {}::float8)")
    for name, value in change.fields.items():
        update.add(name, value)
    row = await connection.fetchrow(
        f"UPDATE video_generations SET {update.sql} "  # noqa: S608 - the names are literals of our code
        f"WHERE request_id = $1 AND status = $2 AND epoch = $3 {_RETURNING}",
        *update.values,
    )
    if row is None:
        raise RuntimeError("a job changed although it was locked")
    changed = Job.from_row(row)
    await _announce(connection, changed, job.status)
    return changed


async def keep_operations(
    connection: Connection, job: Job, operations: list[dict[str, Any]], cost_usd: Decimal | None, lease_s: float
) -> Job:
    """Stores a job's operations at providers and what they cost together; the caller holds the row's lock."""
    row = await connection.fetchrow(
        f"""UPDATE video_generations SET artifacts = $2, provider_cost_usd = $3,
            lease_expires_at = clock_timestamp() + make_interval(secs => $4)
        WHERE request_id = $1 {_RETURNING}""",  # noqa: S608 - constants
        job.request_id,
        {**job.artifacts, "operations": operations},
        cost_usd,
        lease_s,
    )
    assert row is not None  # noqa: S101 - it is locked
    return Job.from_row(row)


async def erase(connection: Connection, request_id: UUID) -> None:
    """Empties a job that has ended: the purger deletes its objects, as no column points at them any more."""
    await connection.execute(
        """UPDATE video_generations SET deleted_at = clock_timestamp(), purged_at = NULL, text_prompt = '',
            negative_prompt = NULL, first_frame_image_url = NULL, reference_video_url = NULL,
            video_url = NULL, thumbnail_url = NULL, audio_url = NULL, c2pa_manifest_url = NULL
        WHERE request_id = $1""",
        request_id,
    )


async def was_caused(connection: Connection, request_id: UUID, cause: str) -> bool:
    """Whether the job's history has a change made by this very call."""
    found = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM job_events WHERE request_id = $1 AND cause = $2)", request_id, cause
    )
    return bool(found)


class _Assignments:
    """The SET list of an UPDATE; parameters are numbered as they come, after those of the WHERE clause."""

    def __init__(self, *where: object) -> None:
        self.values: list[object] = list(where)
        self._terms: list[str] = []

    def add(self, column: str, value: object, expression: str = "{}") -> None:
        self.values.append(value)
        self._terms.append(f"{column} = {expression.format(f'${len(self.values)}')}")

    @property
    def sql(self) -> str:
        return ", ".join(self._terms)


async def _announce(connection: Connection, job: Job, previous: Status | None) -> None:
    """Appends to the outbox what others must learn of the change."""
    event_id = job.last_event_id
    changed = events.state_changed(job, previous)
    await outbox.append(connection, events.state_subject(job.status), changed, event_id=event_id)
    if job.status in events.STAGES and job.lease_owner is None:
        await outbox.append(connection, events.wake_up_subject(job.status), b"{}")
    if job.status is Status.QUEUED:
        await outbox.append(connection, events.queue_subject(job), events.queued(job))
    if job.webhook_url and job.status in _WEBHOOK_EVENTS:
        await connection.execute(_ANNOUNCE_DELIVERY, event_id, job.request_id, _WEBHOOK_EVENTS[job.status])
