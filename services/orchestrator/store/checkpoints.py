"""Checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.orchestrator.domain.job import Row

if TYPE_CHECKING:
    from services.common.postgres import Connection, Pool


@dataclass(frozen=True, kw_only=True)
class NewCheckpoint:
    """A row of `video_checkpoints` as the worker gives it."""

    checkpoint_id: UUID
    request_id: UUID
    worker_id: str
    step_number: int
    total_steps: int
    latent_local_path: str
    latent_remote_path: str | None
    synced_to_remote: bool
    latent_shape: list[int]
    latent_dtype: str
    rng_state_cpu: bytes
    rng_state_cuda: bytes
    audio_state: bytes
    scheduler_state: dict[str, Any]
    sha256: str
    model_revision: str
    engine_hash: str
    rng_state_path: str | None
    epoch: int
    size_bytes: int
    save_time_ms: int


@dataclass(frozen=True, kw_only=True)
class Checkpoint(NewCheckpoint):
    """A row as stored."""

    created_at: datetime

    @classmethod
    def from_row(cls, row: Row) -> Checkpoint:
        """Builds it from a row."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


_NAMES = [field.name for field in fields(NewCheckpoint)]
_KEPT = {"request_id", "step_number"}
# The same step may be saved again: copied to the object store by now, or computed again after a damaged file.
_SAVE = f"""
INSERT INTO video_checkpoints ({", ".join(_NAMES)})
VALUES ({", ".join(f"${i}" for i in range(1, len(_NAMES) + 1))})
ON CONFLICT (request_id, step_number) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in _KEPT)}
RETURNING *
"""  # noqa: S608 - constants
_NOTE = """
UPDATE video_generations SET
    last_checkpoint_step = $2, checkpoint_path = $3, gpu_time_ms = gpu_time_ms + $4, progress_seq = progress_seq + 1,
    stalled_attempts = CASE WHEN $2 > last_checkpoint_step THEN 0 ELSE stalled_attempts END,
    lease_expires_at = clock_timestamp() + make_interval(secs => $5)
WHERE request_id = $1
"""


async def find(connection: Connection, request_id: UUID, step: int) -> Checkpoint | None:
    """Reads the checkpoint of a step."""
    row = await connection.fetchrow(
        "SELECT * FROM video_checkpoints WHERE request_id = $1 AND step_number = $2", request_id, step
    )
    return Checkpoint.from_row(row) if row else None


async def newest_first(source: Pool | Connection, request_id: UUID, limit: int = 1000) -> list[Checkpoint]:
    """Reads a job's checkpoints."""
    rows = await source.fetch(
        "SELECT * FROM video_checkpoints WHERE request_id = $1 ORDER BY step_number DESC LIMIT $2", request_id, limit
    )
    return [Checkpoint.from_row(row) for row in rows]


async def forget(connection: Connection, request_id: UUID) -> None:
    """Deletes a job's checkpoints: another model cannot go on from them. Their objects go with the job's."""
    await connection.execute("DELETE FROM video_checkpoints WHERE request_id = $1", request_id)


async def save(connection: Connection, checkpoint: NewCheckpoint, gpu_time_ms: int, lease_s: float) -> Checkpoint:
    """Stores a checkpoint and notes it in its job, whose row the caller has locked."""
    row = await connection.fetchrow(_SAVE, *(getattr(checkpoint, name) for name in _NAMES))
    assert row is not None  # noqa: S101 - RETURNING
    path = checkpoint.latent_remote_path or checkpoint.latent_local_path
    await connection.execute(_NOTE, checkpoint.request_id, checkpoint.step_number, path, gpu_time_ms, lease_s)
    return Checkpoint.from_row(row)
