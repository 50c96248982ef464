"""Reads what placement decides on."""

from __future__ import annotations

from services.common.postgres import Pool
from services.scheduler.domain.jobs import QueuedJob
from services.scheduler.domain.placement import Decision, Policy, Situation, Worker, in_order, place
from services.scheduler.domain.workers import WorkerStatus
from services.scheduler.hub import Hub, Session
from services.scheduler.store import assignments, queue, workers
from services.scheduler.store.workers import ConnectedWorker

_UNKNOWN_MODEL = "?"
_ACCEPTING = (WorkerStatus.IDLE, WorkerStatus.READY, WorkerStatus.LOADING_MODEL)


class Situations:
    """Queue and workers as they are now."""

    def __init__(self, pool: Pool, hub: Hub, policy: Policy, preempt_patience_s: float) -> None:
        self._pool = pool
        self._hub = hub
        self._policy = policy
        self._preempt_patience_s = preempt_patience_s

    async def read(self) -> Situation:
        """Reads all; a worker without a stream in this process is one that takes no jobs, as nobody can order it."""
        connected = await workers.connected(self._pool, self._preempt_patience_s)
        return Situation(
            queue=await queue.list_all(self._pool),
            workers=[_view(worker, self._hub.find(worker.worker_id)) for worker in connected],
            last_served=await assignments.last_served(self._pool),
            now=await queue.now(self._pool),
        )

    async def decide(self) -> tuple[Situation, list[Decision]]:
        """Reads, and places jobs."""
        situation = await self.read()
        return situation, place(situation, self._policy)

    async def in_order(self) -> list[QueuedJob]:
        """The queue as it would be served; any replica can tell."""
        return in_order(await self.read(), self._policy)


def _view(worker: ConnectedWorker, session: Session | None) -> Worker:
    loading = session.loading(worker.loaded) if session else ""
    if not loading and worker.status is WorkerStatus.LOADING_MODEL:
        loading = _UNKNOWN_MODEL
    return Worker(
        worker_id=worker.worker_id,
        models=worker.models if session else frozenset(),
        loaded=worker.loaded,
        loading=loading,
        accepting=session is not None and worker.status in _ACCEPTING and not worker.draining,
        running=worker.running,
    )
