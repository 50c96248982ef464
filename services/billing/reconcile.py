"""Settles holds whose terminal event never came, e.g. because the broker lost its disk."""

from __future__ import annotations

import logging
from uuid import UUID

import grpc

from kinemesh.orchestrator.v1 import job_events_pb2, job_service_pb2, job_service_pb2_grpc
from services.billing import store
from services.billing.domain import UnsettleableError
from services.billing.events import to_settlement
from services.billing.reservations import Reservations
from services.common.jetstream import PoisonError
from services.common.postgres import Pool

_BATCH = 100

logger = logging.getLogger(__name__)


class Reconciler:
    """Asks the orchestrator about old holds."""

    def __init__(
        self, pool: Pool, jobs: job_service_pb2_grpc.JobServiceAsyncStub, reservations: Reservations, after_s: float
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._reservations = reservations
        self._after_s = after_s

    async def run_once(self) -> None:
        """Looks at the holds that are due, once each; those that cannot be settled wait for their next turn."""
        for request_id in await store.claim_unsettled(self._pool, self._after_s, _BATCH):
            try:
                await self._check(request_id)
            except (grpc.aio.AioRpcError, PoisonError, UnsettleableError) as exc:
                # A hold without a job is the orchestrator's to release.
                if not isinstance(exc, grpc.aio.AioRpcError) or exc.code() is not grpc.StatusCode.NOT_FOUND:
                    logger.warning("hold not checked", extra={"request_id": str(request_id), "error": repr(exc)[:200]})

    async def _check(self, request_id: UUID) -> None:
        response = await self._jobs.GetJob(job_service_pb2.GetJobRequest(request_id=str(request_id)))
        billing = response.job.request.billing
        if not response.job.request.HasField("completed_at"):
            return
        division = job_events_pb2.Settlement(
            captured_credits=billing.captured_credits, refunded_credits=billing.refunded_credits
        )
        if await self._reservations.settle(to_settlement(str(request_id), division), f"reconcile-{request_id}"):
            logger.warning("settled without an event", extra={"request_id": str(request_id)})
