"""What the scheduler orders, done one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Protocol

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2
from services.worker.errors import ModelBrokenError, ModelFailedError, TritonUnavailableError
from services.worker.models import Models
from services.worker.state import WorkerState
from services.worker.work import StopRequest

logger = logging.getLogger(__name__)


class Runner(Protocol):
    """Works an assignment off."""

    async def run(
        self, assignment: scheduler_service_pb2.Assignment, stop: StopRequest
    ) -> scheduler_service_pb2.AssignmentFinished:
        """Returns how it ended."""

    async def refuse(
        self, job: job_service_pb2.Job, reason: job_service_pb2.RequeueReason.ValueType
    ) -> scheduler_service_pb2.AssignmentFinished:
        """Gives back an assignment that is not even begun."""


class Agent:
    """Holds at most one assignment. `finished` collects the ends of assignments for the scheduler."""

    def __init__(self, runner: Runner, pool: Models, state: WorkerState) -> None:
        self.finished: deque[scheduler_service_pb2.AssignmentFinished] = deque()
        """Ends the scheduler has not been told yet, oldest first."""
        self._runner = runner
        self._pool = pool
        self._state = state
        self._current: tuple[str, int] | None = None
        self._stop = StopRequest()
        self._tasks: set[asyncio.Task[None]] = set()

    def obey(self, order: scheduler_service_pb2.ConnectWorkerResponse) -> None:
        """Starts what is ordered; returns at once."""
        kind = order.WhichOneof("message")
        if kind == "assign":
            self._assign(order.assign)
        elif kind == "preempt":
            self._preempt(order.preempt)
        elif kind == "load_model":
            self._start(self._load(order.load_model.model))
        elif kind == "drain":
            self.drain()

    def drain(self) -> None:
        """Takes no more jobs and gives back the one in hand."""
        if not self._state.draining:
            logger.info("draining")
        self._state.drain()
        self._stop.ask(job_service_pb2.REQUEUE_REASON_DRAINED)

    async def settle(self) -> None:
        """Returns once nothing is being done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def idle(self) -> bool:
        """Whether nothing is being done."""
        return not self._tasks

    def _assign(self, assignment: scheduler_service_pb2.Assignment) -> None:
        job = assignment.job
        key = (job.request.request_id, job.epoch)
        if key == self._current:
            return
        if self._state.draining:
            self._start(self._give_back(job, job_service_pb2.REQUEUE_REASON_DRAINED))
        elif self._current is not None:
            self._start(self._give_back(job, job_service_pb2.REQUEUE_REASON_WORKER_LOST))
        else:
            self._current, self._stop = key, StopRequest()
            self._start(self._run(assignment))

    def _preempt(self, order: scheduler_service_pb2.PreemptOrder) -> None:
        if self._current == (order.request_id, order.epoch):
            logger.info("preempted", extra={"job_id": order.request_id})
            self._stop.ask(job_service_pb2.REQUEUE_REASON_PREEMPTED)

    async def _run(self, assignment: scheduler_service_pb2.Assignment) -> None:
        try:
            finished = await self._runner.run(assignment, self._stop)
        finally:
            self._current = None
        self._tell(finished)

    async def _give_back(self, job: job_service_pb2.Job, reason: job_service_pb2.RequeueReason.ValueType) -> None:
        self._tell(await self._runner.refuse(job, reason))

    async def _load(self, model: str) -> None:
        """A model that does not load is no reason to stop: the registry shows that it is not there."""
        try:
            await self._pool.ensure(model)
        except (ModelBrokenError, ModelFailedError, TritonUnavailableError) as error:
            logger.warning("model not loaded", extra={"model": model, "cause": str(error)})

    def _tell(self, finished: scheduler_service_pb2.AssignmentFinished) -> None:
        self.finished.append(finished)
        self._state.changed.set()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("order failed", exc_info=error)
