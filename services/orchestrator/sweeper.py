"""Repairs what was lost on the way: messages and interrupted accepts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nats.errors import Error as NatsError
from prometheus_client import Gauge

from services.common import outbox
from services.common.errors import ServiceError
from services.common.postgres import Connection, transact
from services.orchestrator import events
from services.orchestrator.domain.status import ACTIVE
from services.orchestrator.store import idempotency, listing
from services.orchestrator.usecases.accept import Billing

if TYPE_CHECKING:
    from services.common.postgres import Pool
    from services.orchestrator.store.idempotency import Abandoned

JOBS = Gauge("kinemesh_orchestrator_jobs", "Unfinished jobs by state.", ["status"])
_BATCH = 200

logger = logging.getLogger(__name__)


class Sweeper:
    """Makes true what PostgreSQL says."""

    def __init__(
        self,
        pool: Pool,
        ensure_streams: Callable[[], Awaitable[None]],
        wake_relay: Callable[[], None],
        quiet_s: float,
    ) -> None:
        self._pool = pool
        self._ensure_streams = ensure_streams
        self._wake_relay = wake_relay
        self._quiet_s = quiet_s

    async def run_once(self) -> None:
        """Publishes again what has been waiting for a while, and counts the jobs."""
        await transact(self._pool, self._announce)
        await self._restore_streams()
        self._wake_relay()
        await idempotency.delete_expired(self._pool)
        counts = await listing.count_by_status(self._pool)
        for status in ACTIVE:
            JOBS.labels(status).set(counts.get(status, 0))

    async def _restore_streams(self) -> None:
        # A publisher notices a lost stream only if nobody else listens to the subject; otherwise it gets no answer.
        try:
            await self._ensure_streams()
        except (NatsError, TimeoutError) as exc:
            logger.warning("streams not ensured", extra={"error": repr(exc)})

    async def _announce(self, connection: Connection) -> None:
        # A wake-up makes a stage look for all that is due; the same one from two replicas need not be published twice.
        for status in await listing.due_statuses(connection, self._quiet_s):
            await outbox.append(connection, events.wake_up_subject(status), b"{}")
        for job in await listing.lock_quiet_queued(connection, self._quiet_s, _BATCH):
            await outbox.append(connection, events.queue_subject(job), events.queued(job))


class AcceptSweeper:
    """Undoes accepts that nobody finished."""

    def __init__(self, pool: Pool, billing: Billing, abandoned_after_s: float) -> None:
        self._pool = pool
        self._billing = billing
        self._abandoned_after_s = abandoned_after_s

    async def run_once(self) -> None:
        """Gives back credits held for requests that never became jobs."""
        for abandoned in await idempotency.abandon(self._pool, self._abandoned_after_s, _BATCH):
            try:
                await self._undo(abandoned)
            except ServiceError as exc:
                # The next round finds it again.
                fields = {"job_id": str(abandoned.request_id), "reason": exc.reason}
                logger.warning("interrupted accept not undone yet", extra=fields)

    async def _undo(self, abandoned: Abandoned) -> None:
        if abandoned.quoted:
            await self._billing.release(abandoned.request_id)
        await idempotency.delete_abandoned(self._pool, abandoned)
        logger.warning("interrupted accept undone", extra={"job_id": str(abandoned.request_id)})
