"""The GENERATING state at a provider: an operation is begun, or an earlier attempt's gone on with, until it is done.

An operation is committed as soon as the provider has named it, so that whoever has the job next waits for the same one
instead of paying twice. What can still be paid twice is an operation whose name never reached the orchestrator: the
process was killed in between, or the provider's answer was lost. Providers that know idempotency keys are given one
that is the same for the next attempt; of the others the lost one comes to nothing.
"""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import ProviderModel
from services.common.faults import race_point
from services.worker.lease import Progress
from services.worker.metrics import PROVIDER_COST, PROVIDER_OPERATIONS
from services.worker.providers.offers import Offers, Served
from services.worker.providers.orders import Orders, current_operation, made_length_s
from services.worker.providers.patience import Patience
from services.worker.providers.protocol import (
    ContentRefusedError,
    OperationEndedError,
    Poll,
    ProviderError,
)
from services.worker.work import Work, model_name

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub

_CANCEL_WITHIN_S = 10.0
_REFUSED = "the provider refused the content"
_OVER = (video_pb2.VIDEO_STATUS_CANCELLED, video_pb2.VIDEO_STATUS_FAILED)

logger = logging.getLogger(__name__)


class ProviderGenerateStage:
    """Has a provider draw a job's video."""

    def __init__(
        self, jobs: JobServiceAsyncStub, offers: Offers, orders: Orders, patience: Patience, poll_s: float
    ) -> None:
        self._jobs = jobs
        self._offers = offers
        self._orders = orders
        self._patience = patience
        self._poll_s = poll_s

    async def run(self, work: Work) -> None:
        """Leaves GENERATING for VAE_DECODING, or for BLOCKED where the provider refuses the content.

        Raises:
            GivenBackError: somebody asked for the job, or the provider takes no work; the operation goes on.
            ProviderError: the provider could not make the video.
        """
        work.state.enter(worker_pb2.WORKER_STATUS_GENERATING)
        served = self._offers.served[model_name(work.job)]
        try:
            operation_id = current_operation(work.job) or await self._begin(work, served)
            await self._follow(work, served, operation_id)
        except ContentRefusedError as refusal:
            logger.warning("provider refuses the content", extra={"cause": str(refusal)})
            await work.lease.block(_REFUSED, 1.0)
        else:
            await work.advance(video_pb2.VIDEO_STATUS_VAE_DECODING)

    async def _begin(self, work: Work, served: Served) -> str:
        submit = partial(served.provider.submit, await self._orders.make(work, served.entry))
        # A call under way is not broken off: its operation must be known, if only to be cancelled.
        begun = asyncio.ensure_future(self._patience.call(model_name(work.job), work.stop, submit, repeatable=False))
        try:
            operation_id = await asyncio.shield(begun)
            race_point("worker.operation.begun")
            await _save(work, operation_id)
        except BaseException:
            # Not again, if it has not begun yet.
            work.stop.ask(job_service_pb2.REQUEUE_REASON_WORKER_LOST)
            await asyncio.shield(self._withdraw(begun, served))
            raise
        PROVIDER_OPERATIONS.labels(model_name(work.job), "begun").inc()
        logger.info("operation begun at the provider", extra={"operation_id": operation_id})
        return operation_id

    async def _follow(self, work: Work, served: Served, operation_id: str) -> None:
        try:
            poll = await self._until_done(work, served, operation_id)
        except OperationEndedError as error:
            refused = isinstance(error, ContentRefusedError)
            PROVIDER_OPERATIONS.labels(model_name(work.job), "refused" if refused else "failed").inc()
            await _save(work, operation_id, failed=True, cost=_cost(served.entry, error.credits))
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._cancel_if_over(work, served, operation_id))
            raise
        PROVIDER_OPERATIONS.labels(model_name(work.job), "done").inc()
        length_s = made_length_s(served.entry, work.config.duration_seconds)
        await _save(work, operation_id, cost=_cost(served.entry, poll.credits, length_s))

    async def _until_done(self, work: Work, served: Served, operation_id: str) -> Poll:
        look = partial(served.provider.poll, operation_id)
        while True:
            poll = await self._patience.call(model_name(work.job), work.stop, look)
            if poll.done:
                return poll
            if poll.fraction is not None:
                _report(work, poll.fraction)
            await work.stop.sleep(self._poll_s)

    async def _withdraw(self, begun: asyncio.Future[str], served: Served) -> None:
        """Cancels an operation that nobody will know of."""
        try:
            async with asyncio.timeout(_CANCEL_WITHIN_S):
                await asyncio.wait({begun})
                # Otherwise none began, which is what the caller raises.
                if begun.exception() is None:
                    await served.provider.cancel(begun.result())
        except (ProviderError, TimeoutError) as error:
            logger.warning("operation not cancelled", extra={"cause": str(error)})

    async def _cancel_if_over(self, work: Work, served: Served, operation_id: str) -> None:
        """Cancels the operation of a job that is over; of one that another worker has, it is that worker's."""
        request = job_service_pb2.GetJobRequest(request_id=work.lease.request_id)
        try:
            async with asyncio.timeout(_CANCEL_WITHIN_S):
                if (await self._jobs.GetJob(request)).job.request.status in _OVER:
                    await served.provider.cancel(operation_id)
                    logger.info("operation cancelled at the provider", extra={"operation_id": operation_id})
        except (ProviderError, TimeoutError, grpc.aio.AioRpcError) as error:
            logger.warning("operation not cancelled", extra={"operation_id": operation_id, "cause": str(error)})


def _cost(entry: ProviderModel, charged: Decimal | None, length_s: float = 0.0) -> Decimal | None:
    """US dollars: the provider's own charge, or what a video of this length costs; a failed one costs nothing then."""
    if charged is not None:
        return charged * Decimal(str(entry.cost_usd_per_credit))
    return Decimal(str(entry.cost_usd_per_s)) * Decimal(str(length_s)) if length_s else None


async def _save(work: Work, operation_id: str, *, failed: bool = False, cost: Decimal | None = None) -> None:
    name = model_name(work.job)
    operation = job_service_pb2.ProviderOperation(operation_id=operation_id, model=name, failed=failed)
    if cost is not None:
        operation.cost_usd = f"{cost:.4f}"
        PROVIDER_COST.labels(name).inc(float(cost))
    await work.lease.save_operation(operation)


def _report(work: Work, fraction: float) -> None:
    """Hundredths of the provider's progress are the job's steps; it costs no accelerator time."""
    total = work.config.num_inference_steps
    step = min(int(fraction * total), total)
    if work.state.job is not None:
        work.state.job.step = step
    work.lease.report(Progress(step, total, fraction, 0.0, 0.0))
