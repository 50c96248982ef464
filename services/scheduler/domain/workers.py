"""Workers as they describe themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class WorkerStatus(StrEnum):
    """What a worker is doing; kinemesh.scheduler.v1.WorkerStatus without prefix."""

    IDLE = "IDLE"
    LOADING_MODEL = "LOADING_MODEL"
    READY = "READY"
    GENERATING = "GENERATING"
    CHECKPOINTING = "CHECKPOINTING"
    DECODING = "DECODING"
    DRAINING = "DRAINING"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True)
class Hardware:
    """What a worker runs on; memory in GiB."""

    gpu_type: str
    gpu_count: int
    memory_total_gb: float
    memory_used_gb: float
    nvlink_topology: str


@dataclass(frozen=True)
class LoadedModels:
    """What a worker has in memory; empty text for none."""

    dit_model: str = ""
    dit_model_loaded_at: datetime | None = None
    vae_model: str = ""
    text_encoders: tuple[str, ...] = ()
    audio_model: str = ""


@dataclass(frozen=True)
class CurrentJob:
    """What a worker works on."""

    request_id: UUID
    started_at: datetime | None
    step: int


@dataclass(frozen=True)
class DayMetrics:
    """A worker's figures of the day, in UTC."""

    jobs_completed: int = 0
    average_generation_time_ms: int = 0
    checkpoint_save_time_ms: int = 0
    errors: int = 0


@dataclass(frozen=True)
class WorkerState:
    """A worker; the source's data model GPUWorkerState."""

    worker_id: str
    pod_name: str
    node_name: str
    status: WorkerStatus
    hardware: Hardware
    loaded: LoadedModels = field(default_factory=LoadedModels)
    current: CurrentJob | None = None
    metrics: DayMetrics = field(default_factory=DayMetrics)
    last_heartbeat: datetime | None = None
    """By the database's clock; None in what a worker says of itself."""
    models: tuple[str, ...] = ()
    """Models it can load, as it registered them; empty in what it says of itself."""


class Outcome(StrEnum):
    """How an assignment ended."""

    DONE = "DONE"
    REQUEUED = "REQUEUED"
    FENCED = "FENCED"
    FAILED = "FAILED"
    LOST = "LOST"
    """The worker went away, or knows nothing of it."""


@dataclass(frozen=True)
class Register:
    """A worker introduces itself."""

    state: WorkerState
    models: frozenset[str]
    """Models it can load."""
    resumed: tuple[UUID, int] | None
    """Job and epoch it still works on."""


@dataclass(frozen=True)
class Heartbeat:
    """A worker's sign of life."""

    state: WorkerState
    gpu_utilization: float


@dataclass(frozen=True)
class Finished:
    """A worker is done with an assignment."""

    request_id: UUID
    epoch: int
    outcome: Outcome
    duration_ms: int


WorkerMessage = Register | Heartbeat | Finished
