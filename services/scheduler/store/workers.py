"""The table of workers: the source's gpu_workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.common.postgres import Connection, Pool
from services.scheduler.domain.jobs import Tier
from services.scheduler.domain.placement import RunningJob
from services.scheduler.domain.workers import (
    CurrentJob,
    DayMetrics,
    Hardware,
    Heartbeat,
    LoadedModels,
    Register,
    WorkerState,
    WorkerStatus,
)

if TYPE_CHECKING:
    import asyncpg

# The source's NUMERIC(5,2) ends at 999.99 GiB; a larger machine is shown with that.
_REPORTED = """
    status = CASE WHEN drain_requested THEN 'DRAINING' ELSE $3 END,
    gpu_memory_used_gb = least($4::double precision, 999.99), loaded_models = $5,
    current_request_id = $6, current_job_started_at = $7, current_step = $8, checkpoint_save_time_ms = $9,
    gpu_utilization = $10, last_heartbeat = clock_timestamp(), updated_at = clock_timestamp()
"""
_REGISTER = """
INSERT INTO gpu_workers (worker_id, session_id, pod_name, node_name, gpu_type, gpu_count, gpu_memory_total_gb,
    nvlink_topology, models, last_heartbeat)
VALUES ($1, $2, $3, $4, $5, $6, least($7::double precision, 999.99), $8, $9, clock_timestamp())
ON CONFLICT (worker_id) DO UPDATE SET session_id = excluded.session_id, pod_name = excluded.pod_name,
    node_name = excluded.node_name, gpu_type = excluded.gpu_type, gpu_count = excluded.gpu_count,
    gpu_memory_total_gb = excluded.gpu_memory_total_gb, nvlink_topology = excluded.nvlink_topology,
    models = excluded.models, drain_requested = false
"""
_HEARTBEAT = f"UPDATE gpu_workers SET {_REPORTED} WHERE worker_id = $1 AND session_id = $2"  # noqa: S608 - constants
_OFFLINE = "status = 'OFFLINE', current_request_id = NULL, current_job_started_at = NULL, current_step = NULL"
_LEAVE = f"""
UPDATE gpu_workers SET {_OFFLINE}, updated_at = clock_timestamp() WHERE worker_id = $1 AND session_id = $2
"""  # noqa: S608 - constants
_EXPIRE = f"""
UPDATE gpu_workers SET {_OFFLINE}, updated_at = clock_timestamp()
WHERE status <> 'OFFLINE' AND last_heartbeat < clock_timestamp() - make_interval(secs => $1)
RETURNING worker_id
"""  # noqa: S608 - constants
_NEW_DAY = """
UPDATE gpu_workers SET jobs_completed_today = 0, error_count_today = 0, average_generation_time_ms = 0,
    counters_day = (clock_timestamp() AT TIME ZONE 'UTC')::date
WHERE counters_day < (clock_timestamp() AT TIME ZONE 'UTC')::date
"""
_STATE = """
SELECT worker_id, pod_name, node_name, status, gpu_type, gpu_count, gpu_memory_total_gb, gpu_memory_used_gb,
    nvlink_topology, loaded_models, current_request_id, current_job_started_at, current_step, last_heartbeat,
    jobs_completed_today, average_generation_time_ms, checkpoint_save_time_ms, error_count_today, models
FROM gpu_workers
"""
_LIST = (
    f"""{_STATE} WHERE status <> 'OFFLINE' OR updated_at > clock_timestamp() - interval '1 day' ORDER BY worker_id"""
)
_GET = f"{_STATE} WHERE worker_id = $1"
_DRAIN = """
UPDATE gpu_workers SET drain_requested = true, status = 'DRAINING', updated_at = clock_timestamp()
WHERE worker_id = $1 AND status <> 'OFFLINE'
"""
_DRAINING = "SELECT worker_id FROM gpu_workers WHERE drain_requested AND status <> 'OFFLINE'"
_CONNECTED = """
SELECT w.worker_id, w.status, w.gpu_type, w.models, w.drain_requested, w.loaded_models ->> 'dit_model' AS loaded,
    a.request_id, a.epoch, a.user_id, a.tier, a.priority, a.enqueued_at, a.num_steps,
    CASE WHEN w.current_request_id = a.request_id THEN coalesce(w.current_step, 0) ELSE 0 END AS step,
    coalesce(a.preempt_ordered_at > clock_timestamp() - make_interval(secs => $1), false) AS preempting
FROM gpu_workers w LEFT JOIN assignments a ON a.worker_id = w.worker_id AND a.finished_at IS NULL
WHERE w.status <> 'OFFLINE'
"""
_NOT_DENOISING = ("DECODING", "CHECKPOINTING", "DRAINING")
_PROVIDER = "provider"
"""What a worker runs on that drives other people's APIs."""


@dataclass(frozen=True)
class ConnectedWorker:
    """What placement needs to know of a worker."""

    worker_id: str
    status: WorkerStatus
    models: frozenset[str]
    loaded: str
    draining: bool
    running: RunningJob | None


async def register(connection: Connection, session_id: UUID, register: Register) -> None:
    """Adds or renews a worker; from now on it belongs to this session."""
    state, hardware = register.state, register.state.hardware
    await connection.execute(
        _REGISTER,
        state.worker_id,
        session_id,
        state.pod_name,
        state.node_name,
        hardware.gpu_type,
        hardware.gpu_count,
        hardware.memory_total_gb,
        hardware.nvlink_topology,
        sorted(register.models),
    )
    await connection.execute(_HEARTBEAT, *_reported(session_id, Heartbeat(state, 0.0)))


async def heartbeat(pool: Pool, session_id: UUID, heartbeat: Heartbeat) -> bool:
    """Notes what a worker says; returns False when it belongs to another session by now."""
    return await pool.execute(_HEARTBEAT, *_reported(session_id, heartbeat)) == "UPDATE 1"


async def leave(pool: Pool, worker_id: str, session_id: UUID) -> None:
    """Marks a worker offline, unless another session has it."""
    await pool.execute(_LEAVE, worker_id, session_id)


async def expire(pool: Pool, silence_s: float) -> list[str]:
    """Marks workers offline that were silent for so long; returns them."""
    return [row["worker_id"] for row in await pool.fetch(_EXPIRE, silence_s)]


async def begin_new_day(pool: Pool) -> None:
    """Sets the day's counters to zero once the day, in UTC, is over."""
    await pool.execute(_NEW_DAY)


async def list_known(pool: Pool) -> list[WorkerState]:
    """Lists workers by id; those offline for more than a day are left out."""
    return [_to_state(row) for row in await pool.fetch(_LIST)]


async def get(pool: Pool, worker_id: str) -> WorkerState | None:
    """Reads one worker."""
    row = await pool.fetchrow(_GET, worker_id)
    return None if row is None else _to_state(row)


async def request_drain(pool: Pool, worker_id: str) -> None:
    """Notes that a connected worker shall take no more jobs; the leader tells it."""
    await pool.execute(_DRAIN, worker_id)


async def draining(pool: Pool) -> list[str]:
    """Lists connected workers that shall take no more jobs."""
    return [row["worker_id"] for row in await pool.fetch(_DRAINING)]


async def connected(pool: Pool, preempt_patience_s: float) -> list[ConnectedWorker]:
    """Lists connected workers with what they have been given."""
    return [_to_connected(row) for row in await pool.fetch(_CONNECTED, preempt_patience_s)]


def _reported(session_id: UUID, heartbeat: Heartbeat) -> tuple[object, ...]:
    state, current = heartbeat.state, heartbeat.state.current
    return (
        state.worker_id,
        session_id,
        state.status,
        state.hardware.memory_used_gb,
        _from_loaded(state.loaded),
        current.request_id if current else None,
        current.started_at if current else None,
        current.step if current else None,
        state.metrics.checkpoint_save_time_ms,
        heartbeat.gpu_utilization,
    )


def _from_loaded(loaded: LoadedModels) -> dict[str, Any]:
    loaded_at = loaded.dit_model_loaded_at
    return {
        "dit_model": loaded.dit_model,
        "dit_model_loaded_at": loaded_at.isoformat() if loaded_at else None,
        "vae_model": loaded.vae_model,
        "text_encoders": list(loaded.text_encoders),
        "audio_model": loaded.audio_model,
    }


def _to_loaded(stored: dict[str, Any]) -> LoadedModels:
    loaded_at = stored["dit_model_loaded_at"]
    return LoadedModels(
        dit_model=stored["dit_model"],
        dit_model_loaded_at=datetime.fromisoformat(loaded_at) if loaded_at else None,
        vae_model=stored["vae_model"],
        text_encoders=tuple(stored["text_encoders"]),
        audio_model=stored["audio_model"],
    )


def _to_state(row: asyncpg.Record) -> WorkerState:
    current = row["current_request_id"]
    return WorkerState(
        worker_id=row["worker_id"],
        pod_name=row["pod_name"],
        node_name=row["node_name"],
        status=WorkerStatus(row["status"]),
        hardware=Hardware(
            gpu_type=row["gpu_type"],
            gpu_count=row["gpu_count"],
            memory_total_gb=float(row["gpu_memory_total_gb"]),
            memory_used_gb=float(row["gpu_memory_used_gb"]),
            nvlink_topology=row["nvlink_topology"],
        ),
        loaded=_to_loaded(row["loaded_models"]),
        current=CurrentJob(current, row["current_job_started_at"], row["current_step"]) if current else None,
        metrics=DayMetrics(
            jobs_completed=row["jobs_completed_today"],
            average_generation_time_ms=row["average_generation_time_ms"],
            checkpoint_save_time_ms=row["checkpoint_save_time_ms"],
            errors=row["error_count_today"],
        ),
        last_heartbeat=row["last_heartbeat"],
        models=tuple(row["models"]),
    )


def _to_connected(row: asyncpg.Record) -> ConnectedWorker:
    return ConnectedWorker(
        worker_id=row["worker_id"],
        status=WorkerStatus(row["status"]),
        models=frozenset(row["models"]),
        loaded=row["loaded"] or "",
        draining=row["drain_requested"],
        running=_to_running(row) if row["request_id"] else None,
    )


def _to_running(row: asyncpg.Record) -> RunningJob:
    return RunningJob(
        request_id=row["request_id"],
        epoch=row["epoch"],
        user_id=row["user_id"],
        tier=Tier(row["tier"]),
        priority=row["priority"],
        enqueued_at=row["enqueued_at"],
        step=row["step"],
        total_steps=row["num_steps"],
        # A provider goes on with what it was asked for: taking the job away would free nothing.
        denoising=row["status"] not in _NOT_DENOISING and row["gpu_type"] != _PROVIDER,
        preempting=row["preempting"],
    )
