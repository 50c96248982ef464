"""What the worker is doing, and that it changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from kinemesh.scheduler.v1 import worker_pb2
from services.worker.figures import BusyMeter, DayFigures

Status: TypeAlias = worker_pb2.WorkerStatus.ValueType


@dataclass
class RunningJob:
    """The job in hand."""

    request_id: str
    epoch: int
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    step: int = 0


@dataclass
class LoadedModel:
    """A model of the catalogue in Triton's memory."""

    name: str
    video_vae: str
    audio: str
    memory_gb: float
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class WorkerState:
    """Shared by everything in the process; `changed` wakes whoever tells the scheduler."""

    figures: DayFigures = field(default_factory=DayFigures)
    busy: BusyMeter = field(default_factory=BusyMeter)
    job: RunningJob | None = None
    models: list[LoadedModel] = field(default_factory=list)
    """Least recently used first."""
    draining: bool = False
    available: bool = True
    """Whether its models work (and Triton answers); without them the worker does not show itself to the scheduler."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _activity: Status | None = None

    @property
    def status(self) -> Status:
        """What the registry shows."""
        if self.draining:
            return worker_pb2.WORKER_STATUS_DRAINING
        if self._activity is not None:
            return self._activity
        return worker_pb2.WORKER_STATUS_READY if self.models else worker_pb2.WORKER_STATUS_IDLE

    def enter(self, activity: Status | None) -> None:
        """Begins an activity; None ends it."""
        self._activity = activity
        self.changed.set()

    def begin(self, job: RunningJob) -> None:
        """Takes a job in hand."""
        self.job = job
        self.busy.reset()
        self.changed.set()

    def end(self) -> None:
        """Has no job any more."""
        self.job = None
        self.enter(None)

    def set_available(self, available: bool) -> None:
        """Notes whether the worker could do anything that it is told."""
        self.available = available
        self.changed.set()

    async def require_available(self) -> None:
        """Raises ConnectionError unless its models work."""
        if not self.available:
            raise ConnectionError

    def drain(self) -> None:
        """Takes no more jobs, for the rest of the process's life."""
        self.draining = True
        self.changed.set()
