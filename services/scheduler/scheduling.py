"""What the leading replica does: watch the workers, place jobs, reconcile."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from services.common.lifecycle import every
from services.common.postgres import Pool
from services.common.telemetry.metrics import BACKGROUND_ERRORS
from services.scheduler.dispatch import Dispatcher
from services.scheduler.domain.jobs import Tier
from services.scheduler.domain.placement import Situation
from services.scheduler.domain.workers import WorkerStatus
from services.scheduler.fallback import Mover
from services.scheduler.hub import Hub
from services.scheduler.metrics import LEADING, QUEUE_DEPTH, WORKERS
from services.scheduler.reconcile import Reconciler
from services.scheduler.situation import Situations
from services.scheduler.store import assignments, workers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """How often and how long, seconds."""

    tick_s: float
    reconcile_s: float
    worker_lease_s: float


class Scheduling:
    """The leader's duty."""

    def __init__(
        self,
        pool: Pool,
        hub: Hub,
        situations: Situations,
        dispatcher: Dispatcher,
        reconciler: Reconciler,
        mover: Mover,
        timing: Timing,
    ) -> None:
        self._pool = pool
        self._hub = hub
        self._situations = situations
        self._dispatcher = dispatcher
        self._reconciler = reconciler
        self._mover = mover
        self._timing = timing

    async def lead(self) -> None:
        """Accepts workers and schedules until cancelled."""
        self._hub.open()
        LEADING.set(1)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(every(self._timing.reconcile_s, self._reconciler.run_once, name="reconcile"))
                tasks.create_task(self._place_for_ever())
        finally:
            self._hub.close()
            LEADING.set(0)
            QUEUE_DEPTH.clear()
            WORKERS.clear()

    async def _place_for_ever(self) -> None:
        while True:
            try:
                await self.round()
            except Exception:
                BACKGROUND_ERRORS.labels("placement").inc()
                logger.exception("round of placement failed")
                await asyncio.sleep(self._timing.tick_s)
            await self._hub.wait_for_news(self._timing.tick_s)

    async def round(self) -> None:
        """Looks after the workers, then decides and carries out, and moves what nobody here could do."""
        await self._watch_workers()
        situation, decisions = await self._situations.decide()
        _measure(situation)
        work = [self._dispatcher.carry_out(decision, situation.now) for decision in decisions]
        # All end before the next round begins, or it would decide on what is still under way.
        for error in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error
        await self._mover.run(situation)

    async def _watch_workers(self) -> None:
        await workers.begin_new_day(self._pool)
        for worker_id in await workers.expire(self._pool, self._timing.worker_lease_s):
            logger.warning("worker is silent", extra={"worker_id": worker_id})
            if session := self._hub.find(worker_id):
                self._hub.leave(session)
        for request_id in await assignments.lose_orphans(self._pool, self._timing.worker_lease_s):
            logger.warning("assignment without a worker", extra={"request_id": str(request_id)})
        known = await workers.list_known(self._pool)
        _count_workers(worker.status for worker in known)
        for worker_id in await workers.draining(self._pool):
            self._order_drain(worker_id)

    def _order_drain(self, worker_id: str) -> None:
        session = self._hub.find(worker_id)
        if session is not None and not session.drain_ordered:
            session.drain_ordered = session.send(pb.ConnectWorkerResponse(drain=pb.DrainOrder()))


def _measure(situation: Situation) -> None:
    depth = Counter(job.tier for job in situation.queue)
    for tier in Tier:
        QUEUE_DEPTH.labels(tier).set(depth[tier])


def _count_workers(statuses: Iterable[WorkerStatus]) -> None:
    counts = Counter(statuses)
    for status in WorkerStatus:
        if status is not WorkerStatus.OFFLINE:
            WORKERS.labels(status).set(counts[status])
