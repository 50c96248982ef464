"""The stage loop against a job service in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.common import claim as claim_module
from services.common import errors
from services.common.claim import Claim
from services.common.jetstream import Message
from services.common.rpc import status
from services.common.stage import JobFailedError, StageHandler, StageLoop, StageOptions

FENCED = errors.FailedPrecondition("FENCED", "somebody else owns the job")
DOWN = errors.Unavailable("DEPENDENCY_UNAVAILABLE", "down")


def rpc_error(error: errors.ServiceError) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        error.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailers(error, "r")), error.message
    )


class MemoryJobs:
    """The calls of JobService that a stage makes."""

    def __init__(self, *request_ids: str) -> None:
        self.due = list(request_ids)
        self.advanced: list[pb.AdvanceJobRequest] = []
        self.failed: list[pb.FailJobRequest] = []
        self.requeued: list[pb.RequeueJobRequest] = []
        self.renewals = 0
        self.claims = 0
        self.errors: dict[str, list[errors.ServiceError]] = {}
        """What the next calls of a method answer instead; the last one for ever if it is FENCED."""
        self.changed = asyncio.Condition()

    async def ClaimJob(self, request: pb.ClaimJobRequest) -> pb.ClaimJobResponse:
        self.claims += 1
        await self._note("ClaimJob")
        return pb.ClaimJobResponse(job=self._job(self.due.pop(0))) if self.due else pb.ClaimJobResponse()

    async def RenewLease(self, request: pb.RenewLeaseRequest, timeout: float) -> pb.RenewLeaseResponse:
        self.renewals += 1
        await self._note("RenewLease")
        return pb.RenewLeaseResponse()

    async def AdvanceJob(self, request: pb.AdvanceJobRequest) -> pb.AdvanceJobResponse:
        await self._note("AdvanceJob")
        self.advanced.append(request)
        await self._note("")
        return pb.AdvanceJobResponse(job=pb.Job(epoch=request.epoch))

    async def FailJob(self, request: pb.FailJobRequest) -> pb.FailJobResponse:
        await self._note("FailJob")
        self.failed.append(request)
        await self._note("")
        return pb.FailJobResponse(job=pb.Job(epoch=request.epoch))

    async def RequeueJob(self, request: pb.RequeueJobRequest, timeout: float) -> pb.RequeueJobResponse:
        await self._note("RequeueJob")
        self.requeued.append(request)
        return pb.RequeueJobResponse(job=pb.Job(epoch=request.epoch + 1))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(condition)

    async def _note(self, method: str) -> None:
        async with self.changed:
            self.changed.notify_all()
        if self.errors.get(method):
            raise rpc_error(self.errors[method].pop(0))

    def _job(self, request_id: str) -> pb.Job:
        job = pb.Job(epoch=3, request=video_pb2.VideoGenerationRequest(request_id=request_id))
        job.lease_expires_at.GetCurrentTime()
        return job


@asynccontextmanager
async def running(
    jobs: MemoryJobs, handler: StageHandler, *, concurrency: int = 1, poll_s: float = 60.0, renew_s: float = 0.01
) -> AsyncIterator[StageLoop]:
    options = StageOptions(concurrency=concurrency, poll_s=poll_s, renew_s=renew_s)
    loop = StageLoop(cast(Any, jobs), pb.STAGE_ENCODING, "encoder-1", handler, options)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        loop.stop()
        await asyncio.wait_for(task, 5)


async def advance(claim: Claim) -> None:
    await claim.advance(video_pb2.VIDEO_STATUS_QUEUED)


def raising(exc: Exception) -> Callable[[Claim], Awaitable[None]]:
    async def handle(claim: Claim) -> None:
        raise exc

    return handle


async def test_every_due_job_is_advanced_under_its_epoch() -> None:
    jobs = MemoryJobs("a", "b", "c")
    async with running(jobs, advance):
        await jobs.until(lambda: len(jobs.advanced) == 3)
    assert [(r.request_id, r.epoch) for r in jobs.advanced] == [("a", 3), ("b", 3), ("c", 3)]
    assert jobs.failed == []


async def test_a_wake_up_brings_the_next_job() -> None:
    jobs = MemoryJobs()
    async with running(jobs, advance) as loop:
        await jobs.until(lambda: jobs.claims == 1)
        jobs.due.append("a")
        await loop.wake(Message("job.stage.encoding", b"", "m-1"))
        await jobs.until(lambda: len(jobs.advanced) == 1)


async def test_polling_finds_a_job_without_a_wake_up() -> None:
    jobs = MemoryJobs()
    async with running(jobs, advance, poll_s=0.01):
        await jobs.until(lambda: jobs.claims >= 2)
        jobs.due.append("a")
        await jobs.until(lambda: len(jobs.advanced) == 1)


async def test_claiming_goes_on_after_the_orchestrator_was_away() -> None:
    jobs = MemoryJobs("a")
    jobs.errors["ClaimJob"] = [DOWN, DOWN]
    async with running(jobs, advance, poll_s=0.01):
        await jobs.until(lambda: len(jobs.advanced) == 1)


async def test_jobs_run_side_by_side_up_to_the_limit() -> None:
    jobs = MemoryJobs("a", "b", "c")
    started: list[str] = []
    enough = asyncio.Event()

    async def handle(claim: Claim) -> None:
        started.append(claim.request_id)
        await enough.wait()
        await advance(claim)

    async with running(jobs, handle, concurrency=2):
        await jobs.until(lambda: jobs.renewals >= 4)
        assert started == ["a", "b"]
        enough.set()
        await jobs.until(lambda: len(jobs.advanced) == 3)


async def test_the_lease_is_renewed_while_the_work_goes_on() -> None:
    jobs = MemoryJobs("a")

    async def handle(claim: Claim) -> None:
        await jobs.until(lambda: jobs.renewals >= 3)
        await advance(claim)

    async with running(jobs, handle):
        await jobs.until(lambda: len(jobs.advanced) == 1)


async def test_a_fenced_renewal_cancels_the_work_and_reports_nothing() -> None:
    jobs = MemoryJobs("a", "b")
    jobs.errors["RenewLease"] = [FENCED]
    cancelled: list[str] = []

    async def handle(claim: Claim) -> None:
        if claim.request_id == "a":
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(claim.request_id)
        await advance(claim)

    async with running(jobs, handle):
        await jobs.until(lambda: len(jobs.advanced) == 1)
    assert cancelled == ["a"]
    assert jobs.advanced[0].request_id == "b"
    assert jobs.failed == []


async def test_without_any_answer_the_work_stops_before_the_lease_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "GIVE_UP_S", 0.2)
    jobs = MemoryJobs("a")
    stopped = asyncio.Event()

    async def hang(request: pb.RenewLeaseRequest, timeout: float) -> pb.RenewLeaseResponse:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(jobs, "RenewLease", hang)

    async def handle(claim: Claim) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with running(jobs, handle):
        await asyncio.wait_for(stopped.wait(), 5)
    assert jobs.failed == []


async def test_an_ambiguous_advance_is_repeated() -> None:
    jobs = MemoryJobs("a")
    jobs.errors["AdvanceJob"] = [DOWN]
    async with running(jobs, advance):
        await jobs.until(lambda: len(jobs.advanced) == 1)
    assert jobs.failed == []


async def test_a_refused_advance_fails_the_job() -> None:
    jobs = MemoryJobs("a")
    jobs.errors["AdvanceJob"] = [errors.FailedPrecondition("ILLEGAL_TRANSITION", "not in that state")]
    async with running(jobs, advance):
        await jobs.until(lambda: len(jobs.failed) == 1)
    assert (jobs.failed[0].code, jobs.failed[0].retriable) == ("ILLEGAL_TRANSITION", False)


async def test_no_renewal_follows_the_advance_that_released_the_lease() -> None:
    jobs = MemoryJobs("a")

    async def handle(claim: Claim) -> None:
        await advance(claim)
        jobs.errors["RenewLease"] = [FENCED]
        keeping = asyncio.create_task(claim.keep())
        done, _ = await asyncio.wait({keeping}, timeout=0.1)
        keeping.cancel()
        assert not done

    async with running(jobs, handle):
        await jobs.until(lambda: len(jobs.advanced) == 1)
    assert jobs.failed == []


@pytest.mark.parametrize(
    ("exc", "code", "retriable"),
    [
        (JobFailedError("MEDIA_FAILED", "unreadable", retriable=False), "MEDIA_FAILED", False),
        (JobFailedError("MEDIA_FAILED", "disk full", retriable=True), "MEDIA_FAILED", True),
        (DOWN, "DEPENDENCY_UNAVAILABLE", True),
        (errors.NotFound("RESOURCE_NOT_FOUND", "no such object"), "RESOURCE_NOT_FOUND", False),
        (rpc_error(errors.InvalidArgument.of_field("x", "bad")), "INVALID_FIELD", False),
        (RuntimeError("a defect with a secret"), "INTERNAL", True),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_failures_are_reported(exc: Exception, code: str, retriable: bool) -> None:
    jobs = MemoryJobs("a")
    async with running(jobs, raising(exc)):
        await jobs.until(lambda: len(jobs.failed) == 1)
    assert (jobs.failed[0].code, jobs.failed[0].retriable, jobs.failed[0].epoch) == (code, retriable, 3)
    assert "secret" not in jobs.failed[0].message


async def test_stopping_lets_the_job_in_work_finish() -> None:
    jobs = MemoryJobs("a", "b")
    working, go_on = asyncio.Event(), asyncio.Event()

    async def handle(claim: Claim) -> None:
        working.set()
        await go_on.wait()
        await advance(claim)

    async with running(jobs, handle) as loop:
        await asyncio.wait_for(working.wait(), 5)
        loop.stop()
        go_on.set()
    assert [r.request_id for r in jobs.advanced] == ["a"]
    assert jobs.due == ["b"]


@pytest.mark.parametrize("refused", [False, True])
async def test_a_job_in_work_when_the_grace_ends_is_given_back(refused: bool) -> None:
    jobs = MemoryJobs("a")
    jobs.errors["RequeueJob"] = [FENCED] * refused
    working = asyncio.Event()

    async def handle(claim: Claim) -> None:
        working.set()
        await asyncio.Event().wait()

    loop = StageLoop(cast(Any, jobs), pb.STAGE_ENCODING, "encoder-1", handle)
    task = asyncio.create_task(loop.run())
    await asyncio.wait_for(working.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    given_back = [(r.request_id, r.epoch, r.reason) for r in jobs.requeued]
    assert given_back == ([] if refused else [("a", 3, pb.REQUEUE_REASON_DRAINED)])
    assert jobs.failed == []
