"""The worker's hold on a job: every step it reports is a renewal, and every commit carries its accelerator time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import grpc

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2
from services.common.claim import RENEW_S, Claim

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1 import job_service_pb2_grpc

_REPORT_TIMEOUT_S = 3.0
_RETRY_S = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """One step of a phase."""

    step: int
    """Denoising steps done."""
    total_steps: int
    phase_fraction: float
    """Share of the current state that is done, 0 to 1."""
    step_time_ms: float
    gpu_utilization: float
    """0 to 1."""
    preview_jpeg: bytes = b""
    """Empty for none."""


class JobLease(Claim):
    """A claim that reports steps, commits checkpoints and can be given back."""

    def __init__(
        self,
        jobs: job_service_pb2_grpc.JobServiceAsyncStub,
        job: job_service_pb2.Job,
        worker_id: str,
        *,
        granted_at: float,
        renew_s: float = RENEW_S,
    ) -> None:
        super().__init__(jobs, job, granted_at=granted_at, renew_s=renew_s)
        self.worker_id = worker_id
        self._pending: deque[Progress] = deque()
        self._news = asyncio.Event()

    def report(self, progress: Progress) -> None:
        """Has a step reported by `keep`, without waiting for it."""
        self._pending.append(progress)
        self._news.set()

    async def confirm(self) -> None:
        """Renews at once: tells a job that is still ours from an assignment that came too late.

        Raises:
            LeaseLostError: it is not ours.
        """
        await self._ask(self._renew)

    async def keep(self) -> NoReturn:
        """Reports steps as they come and renews in their absence, until the lease is lost; see `Claim.keep`."""
        while True:
            if not self._pending:
                # Not wait_for: of Python 3.11 it swallows a cancellation that comes together with the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_s):
                        await self._news.wait()
            self._news.clear()
            try:
                await self._ask(self._tell)
            except grpc.aio.AioRpcError as exc:
                logger.warning("step not reported", extra={"job_id": self.request_id, "code": exc.code().name})
                await asyncio.sleep(_RETRY_S)

    def forget_steps(self) -> None:
        """Drops steps not yet reported: they are of a state that is left now."""
        self._pending.clear()

    async def save_checkpoint(
        self, checkpoint: checkpoint_pb2.VideoJobCheckpoint, *, save_time_ms: int, gpu_time_ms: int
    ) -> None:
        """Commits a checkpoint.

        Raises:
            LeaseLostError: the job is not ours any more.
            grpc.aio.AioRpcError: the orchestrator refuses it, or does not answer.
        """
        request = job_service_pb2.SaveCheckpointRequest(
            epoch=self.epoch, checkpoint=checkpoint, save_time_ms=save_time_ms, gpu_time_ms=gpu_time_ms
        )

        async def save() -> None:
            await self._jobs.SaveCheckpoint(request)

        await self._ask(save)

    async def save_operation(self, operation: job_service_pb2.ProviderOperation) -> None:
        """Commits a provider's operation, or what is new of it; raises as `advance`."""
        request = job_service_pb2.SaveOperationRequest(
            request_id=self.request_id, epoch=self.epoch, operation=operation
        )
        await self._change(lambda: self._jobs.SaveOperation(request))

    async def checkpoints(self) -> Sequence[checkpoint_pb2.VideoJobCheckpoint]:
        """All committed checkpoints, newest first."""
        request = job_service_pb2.ListCheckpointsRequest(request_id=self.request_id)
        return (await self._jobs.ListCheckpoints(request)).checkpoints

    async def requeue(self, reason: job_service_pb2.RequeueReason.ValueType, gpu_time_ms: int) -> None:
        """Gives the job back; raises as `advance`."""
        self.forget_steps()
        request = job_service_pb2.RequeueJobRequest(
            request_id=self.request_id, epoch=self.epoch, reason=reason, gpu_time_ms=gpu_time_ms
        )
        await self._change(lambda: self._jobs.RequeueJob(request))

    async def _tell(self) -> None:
        """Sends one step, or renews; inside the one call at a time, so that no step crosses a change of state."""
        if not self._pending:
            await self._renew()
            return
        progress = self._pending.popleft()
        request = job_service_pb2.ReportProgressRequest(
            request_id=self.request_id,
            epoch=self.epoch,
            step=progress.step,
            total_steps=progress.total_steps,
            phase_fraction=progress.phase_fraction,
            step_time_ms=progress.step_time_ms,
            worker_id=self.worker_id,
            gpu_utilization=progress.gpu_utilization,
            preview_jpeg=progress.preview_jpeg,
        )
        await self._jobs.ReportProgress(request, timeout=_REPORT_TIMEOUT_S)
