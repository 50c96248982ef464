"""The loop of a pipeline stage: wake up, claim, work under a lease, advance or fail."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import grpc
from grpc import StatusCode

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.claim import RENEW_S, Claim, LeaseLostError, under_lease
from services.common.faults import race_point
from services.common.rpc.translate import to_service_error
from services.common.streams import stage_name
from services.common.telemetry.logs import REQUEST_ID
from services.common.telemetry.metrics import STAGE_SECONDS
from services.common.telemetry.tracing import tracer

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub
    from services.common.jetstream import Message

StageHandler: TypeAlias = Callable[[Claim], Awaitable[None]]
"""Does the stage's work and ends with `claim.advance` or `claim.block`.

Raises JobFailedError to say what becomes of the job; other errors count as retriable unless their status says that a
repetition is useless. Is cancelled when the lease is lost. Blocking work belongs into threads or processes, or the
lease is not renewed.
"""

_PERMANENT = {
    StatusCode.INVALID_ARGUMENT,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.NOT_FOUND,
    StatusCode.ALREADY_EXISTS,
    StatusCode.PERMISSION_DENIED,
    StatusCode.UNIMPLEMENTED,
}

logger = logging.getLogger(__name__)


class JobFailedError(Exception):
    """The stage cannot finish the job.

    Args:
        code: ErrorReason without prefix, e.g. "MEDIA_FAILED"; the job's error code.
        message: One sentence for the user; no prompt, no secret.
        retriable: Whether another attempt may succeed.
    """

    def __init__(self, code: str, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retriable = retriable


@dataclass(frozen=True)
class StageOptions:
    """How a stage loop runs."""

    concurrency: int = 1
    """Jobs at once in this process."""
    poll_s: float = 3.0
    """Seconds between looks for work when no wake-up comes."""
    renew_s: float = RENEW_S
    """Seconds between renewals of a lease."""


class StageLoop:
    """Claims and works off the jobs of one stage.

    For `Runtime.background("stage", loop.run, stop=loop.stop)` and
    `Runtime.background("wake-ups", lambda: jetstream.consume(stage_consumer(stage), loop.wake))`.
    """

    def __init__(
        self,
        jobs: JobServiceAsyncStub,
        stage: job_service_pb2.Stage.ValueType,
        owner: str,
        handler: StageHandler,
        options: StageOptions = StageOptions(),
    ) -> None:
        self._jobs = jobs
        self._name = stage_name(stage)
        self._claim_request = job_service_pb2.ClaimJobRequest(stage=stage, owner=owner)
        self._handler = handler
        self._options = options
        self._woken = asyncio.Event()
        self._stopping = False

    async def wake(self, message: Message) -> None:  # noqa: ARG002 - its arrival says it all
        """Handles a wake-up."""
        self._woken.set()

    def stop(self) -> None:
        """Claims no more; `run` returns when the jobs in work are done, and gives them back when it is cancelled."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Works until stopped."""
        async with asyncio.TaskGroup() as slots:
            for _ in range(self._options.concurrency):
                slots.create_task(self._run_slot())

    async def _run_slot(self) -> None:
        while not self._stopping:
            self._woken.clear()
            claim = await self._claim()
            if claim is None:
                await self._idle()
            else:
                # Where one job was due there may be more: the other slots should look, too.
                self._woken.set()
                await self._work(claim)

    async def _idle(self) -> None:
        if self._stopping:
            return
        # Not wait_for: of Python 3.11 it swallows a cancellation that comes together with the wake-up.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.poll_s * random.uniform(0.8, 1.2)):
                await self._woken.wait()

    async def _claim(self) -> Claim | None:
        asked_at = time.monotonic()
        try:
            answer = await self._jobs.ClaimJob(self._claim_request)
        except grpc.aio.AioRpcError as exc:
            logger.warning("no claim possible", extra={"stage": self._name, "code": exc.code().name})
            return None
        if not answer.HasField("job"):
            return None
        return Claim(self._jobs, answer.job, granted_at=asked_at, renew_s=self._options.renew_s)

    async def _work(self, claim: Claim) -> None:
        """Never raises for a job's sake: one bad job must not stop the stage."""
        started = time.monotonic()
        request_id = REQUEST_ID.set(claim.request_id)
        race_point("stage.claimed", self._name)
        try:
            with tracer.start_as_current_span(f"stage {self._name}"):
                result = await self._attempt(claim)
        finally:
            REQUEST_ID.reset(request_id)
        elapsed_s = time.monotonic() - started
        STAGE_SECONDS.labels(self._name, result).observe(elapsed_s)
        fields = {"stage": self._name, "job_id": claim.request_id, "epoch": claim.epoch, "result": result}
        logger.info("job left the stage", extra={**fields, "elapsed_ms": round(elapsed_s * 1000)})

    async def _attempt(self, claim: Claim) -> str:
        """Runs the handler under the lease and returns the result's name."""
        try:
            await under_lease(claim, self._handler(claim))
        except LeaseLostError as exc:
            logger.warning("lease lost", extra={"job_id": claim.request_id, "cause": str(exc)})
            return "lost"
        except asyncio.CancelledError:
            await self._give_back(claim)
            raise
        except Exception as exc:
            failure = _to_failure(exc)
            fields = {"stage": self._name, "job_id": claim.request_id, "reason": failure.code}
            logger.warning("job failed in the stage", extra=fields, exc_info=exc)
            await self._report(claim, failure)
            return "failed"
        return "done"

    async def _give_back(self, claim: Claim) -> None:
        """The process is ending; where the call fails, the orchestrator finds the expired lease."""
        try:
            await claim.give_back()
            logger.info("job given back", extra={"stage": self._name, "job_id": claim.request_id})
        except grpc.aio.AioRpcError as exc:
            logger.warning("job not given back", extra={"job_id": claim.request_id, "code": exc.code().name})

    async def _report(self, claim: Claim, failure: JobFailedError) -> None:
        """Reports a failure; where that is impossible, the orchestrator finds the expired lease."""
        try:
            await under_lease(claim, claim.fail(failure.code, failure.message, retriable=failure.retriable))
        except (LeaseLostError, grpc.aio.AioRpcError) as exc:
            logger.warning("failure not reported", extra={"job_id": claim.request_id, "cause": repr(exc)})


def _to_failure(exc: Exception) -> JobFailedError:
    if isinstance(exc, JobFailedError):
        return exc
    error = to_service_error(exc)
    return JobFailedError(error.reason, error.message, retriable=error.code not in _PERMANENT)
