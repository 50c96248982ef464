"""The worker's hold on a job, on a JobService in memory."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.claim import LeaseLostError, under_lease
from services.common.errors import FailedPrecondition
from services.common.rpc.status import trailers
from services.worker.lease import JobLease, Progress


class MemoryJobs:
    """Answers every call, and keeps it; fences when told to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.fenced = False
        self.silent = False

    async def _answer(self, request: Any) -> Any:
        self.calls.append(request)
        if self.silent:
            await asyncio.Event().wait()
        if self.fenced:
            fenced = FailedPrecondition("FENCED", "another epoch owns the job")
            metadata = grpc.aio.Metadata(*trailers(fenced, ""))
            raise grpc.aio.AioRpcError(fenced.code, grpc.aio.Metadata(), metadata, fenced.message)
        return job_service_pb2.AdvanceJobResponse(job=job())

    async def RenewLease(self, request: Any, timeout: float | None = None) -> Any:
        return await self._answer(request)

    async def ReportProgress(self, request: Any, timeout: float | None = None) -> Any:
        return await self._answer(request)

    async def AdvanceJob(self, request: Any) -> Any:
        return await self._answer(request)

    async def RequeueJob(self, request: Any) -> Any:
        return await self._answer(request)


def job() -> job_service_pb2.Job:
    made = job_service_pb2.Job(epoch=7)
    made.request.request_id = "a-job"
    made.lease_expires_at.GetCurrentTime()
    return made


def lease_on(jobs: Any, renew_s: float = 60, held_s: float = 0) -> JobLease:
    return JobLease(jobs, job(), "worker-1", granted_at=time.monotonic() - held_s, renew_s=renew_s)


def step(number: int) -> Progress:
    return Progress(number, 50, number / 50, 100.0, 0.5)


async def called(jobs: MemoryJobs, times: int) -> None:
    async with asyncio.timeout(5):
        while len(jobs.calls) < times:  # noqa: ASYNC110 - the calls come from the lease
            await asyncio.sleep(0)


async def test_every_step_is_reported_in_order_with_the_epoch() -> None:
    jobs = MemoryJobs()
    lease = lease_on(jobs)

    async def work() -> None:
        for number in (1, 2, 3):
            lease.report(step(number))
        await called(jobs, 3)

    await under_lease(lease, work())
    assert [call.step for call in jobs.calls] == [1, 2, 3]
    assert {(call.epoch, call.worker_id, call.gpu_utilization) for call in jobs.calls} == {(7, "worker-1", 0.5)}


async def test_the_lease_is_renewed_when_there_is_nothing_to_report() -> None:
    jobs = MemoryJobs()
    await under_lease(lease_on(jobs, renew_s=0.01), called(jobs, 2))
    assert {type(call) for call in jobs.calls} == {job_service_pb2.RenewLeaseRequest}


async def test_a_fenced_step_ends_the_work_at_once() -> None:
    jobs = MemoryJobs()
    lease = lease_on(jobs)
    jobs.fenced = True
    ended = asyncio.Event()

    async def work() -> None:
        lease.report(step(1))
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(LeaseLostError, match="fenced"):
        await under_lease(lease, work())
    assert ended.is_set()


async def test_a_silent_orchestrator_ends_the_work_before_the_lease_does() -> None:
    jobs = MemoryJobs()
    jobs.silent = True
    lease = lease_on(jobs, renew_s=0.01, held_s=11.9)
    with pytest.raises(LeaseLostError, match="no answer"):
        await under_lease(lease, asyncio.Event().wait())


async def test_an_assignment_that_came_too_late_is_not_begun() -> None:
    jobs = MemoryJobs()
    jobs.fenced = True
    with pytest.raises(LeaseLostError):
        await lease_on(jobs).confirm()


async def test_steps_of_a_state_that_is_left_are_not_reported_any_more() -> None:
    jobs = MemoryJobs()
    lease = lease_on(jobs)
    lease.report(step(1))
    await lease.requeue(job_service_pb2.REQUEUE_REASON_PREEMPTED, 120)
    lease.report(step(2))
    lease.forget_steps()
    await lease.advance(video_pb2.VIDEO_STATUS_VAE_DECODING, gpu_time_ms=30)
    assert [type(call).__name__ for call in jobs.calls] == ["RequeueJobRequest", "AdvanceJobRequest"]
    assert [call.gpu_time_ms for call in jobs.calls] == [120, 30]
