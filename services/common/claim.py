"""A claimed job: its lease is renewed while the work goes on, and every change carries its epoch."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.faults import race_point
from services.common.rpc.client import error_from_rpc

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub

RENEW_S = 5.0
"""Seconds between renewals."""
GIVE_UP_S = 12.0
"""Seconds, on the monotonic clock, without an answer after which the holder stops: before the lease's 15 s end."""
_RENEW_TIMEOUT_S = 3.0
_GIVE_BACK_TIMEOUT_S = 2.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


class _Answer(Protocol):
    @property
    def job(self) -> job_service_pb2.Job: ...


class LeaseLostError(Exception):
    """The job is, or may soon be, somebody else's: stop and touch nothing."""


class Claim:
    """A job under lease. `job` is its newest known version."""

    def __init__(
        self, jobs: JobServiceAsyncStub, job: job_service_pb2.Job, *, granted_at: float, renew_s: float = RENEW_S
    ) -> None:
        self.job = job
        self._jobs = jobs
        self._answered_at = granted_at
        self._renew_s = renew_s
        self._epoch = job.epoch
        # A renewal that crosses the call which releases the lease would look like its loss.
        self._one_call = asyncio.Lock()

    @property
    def request_id(self) -> str:
        """The job's id."""
        return self.job.request.request_id

    @property
    def epoch(self) -> int:
        """The fencing token of this claim; belongs into every object key."""
        return self._epoch

    async def advance(
        self,
        to_status: video_pb2.VideoStatus.ValueType,
        *,
        artifacts: job_service_pb2.JobArtifacts | None = None,
        gpu_time_ms: int = 0,
        post_gen_score: float | None = None,
        output: video_pb2.Output | None = None,
    ) -> None:
        """Commits the result of the state and moves the job on.

        Raises:
            LeaseLostError: Somebody else has the job, or it was cancelled.
            grpc.aio.AioRpcError: The orchestrator refuses the change.
        """
        request = job_service_pb2.AdvanceJobRequest(
            request_id=self.request_id,
            epoch=self._epoch,
            to_status=to_status,
            artifacts=artifacts,
            gpu_time_ms=gpu_time_ms,
            post_gen_score=post_gen_score,
            output=output,
        )
        race_point("claim.before_advance", to_status)
        await self._change(lambda: self._jobs.AdvanceJob(request))
        race_point("claim.advanced", to_status)

    async def block(self, reason: str, score: float) -> None:
        """Ends the job as BLOCKED; raises as `advance` does."""
        request = job_service_pb2.BlockJobRequest(
            request_id=self.request_id, epoch=self._epoch, reason=reason, score=score
        )
        await self._change(lambda: self._jobs.BlockJob(request))

    async def fail(self, code: str, message: str, *, retriable: bool) -> None:
        """Reports an error; raises as `advance` does."""
        request = job_service_pb2.FailJobRequest(
            request_id=self.request_id, epoch=self._epoch, code=code, message=message, retriable=retriable
        )
        await self._change(lambda: self._jobs.FailJob(request))

    async def give_back(self) -> None:
        """Lets another process have the job at once and without blame; one short attempt, as the process is ending.

        Raises:
            grpc.aio.AioRpcError: The job stays until its lease ends, or is not the caller's any more.
        """
        drained = job_service_pb2.REQUEUE_REASON_DRAINED
        request = job_service_pb2.RequeueJobRequest(request_id=self.request_id, epoch=self._epoch, reason=drained)
        await self._jobs.RequeueJob(request, timeout=_GIVE_BACK_TIMEOUT_S)

    async def keep(self) -> NoReturn:
        """Renews the lease until it is lost.

        Raises:
            LeaseLostError: Refused, or no answer for `GIVE_UP_S`.
        """
        wait_s = self._renew_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._ask(self._renew)
                wait_s = self._renew_s
            except grpc.aio.AioRpcError as exc:
                logger.warning("lease not renewed", extra={"job_id": self.request_id, "code": exc.code().name})
                wait_s = min(1.0, self._renew_s)

    async def _renew(self) -> None:
        """Asks for more time, unless the job has left this stage and has no lease of ours any more."""
        if self.job.HasField("lease_expires_at"):
            request = job_service_pb2.RenewLeaseRequest(request_id=self.request_id, epoch=self._epoch)
            await self._jobs.RenewLease(request, timeout=_RENEW_TIMEOUT_S)

    async def _change(self, call: Callable[[], Awaitable[_Answer]]) -> None:
        """Repeats a change that the orchestrator may or may not have seen, as long as the lease may be ours."""

        async def change() -> None:
            self.job = (await call()).job

        while True:
            try:
                return await self._ask(change)
            except grpc.aio.AioRpcError as exc:
                if not error_from_rpc(exc).retriable:
                    raise
                logger.warning("job not changed yet", extra={"job_id": self.request_id, "code": exc.code().name})
            await asyncio.sleep(random.uniform(0.2, 0.6))

    async def _ask(self, call: Callable[[], Awaitable[None]]) -> None:
        """Counts an answer as news of the lease from the moment of the question."""
        left_s = self._answered_at + GIVE_UP_S - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left_s)), self._one_call:
                asked_at = time.monotonic()
                await call()
        except TimeoutError as exc:
            message = "no answer from the orchestrator"
            raise LeaseLostError(message) from exc
        except grpc.aio.AioRpcError as exc:
            if error_from_rpc(exc).reason == "FENCED":
                message = "fenced"
                raise LeaseLostError(message) from exc
            raise
        self._answered_at = asked_at


async def under_lease(claim: Claim, work: Awaitable[T]) -> T:
    """Awaits work while the lease is renewed; cancels it when the lease is lost.

    Raises:
        LeaseLostError: The lease was lost first.
    """
    keeping = asyncio.create_task(claim.keep())
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
        return await (working if working.done() else keeping)
    finally:
        for task in (working, keeping):
            task.cancel()
        await asyncio.gather(working, keeping, return_exceptions=True)
