"""Two replicas on one database: they start at once, share the news, and never do a thing twice."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest_asyncio

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_service_pb2 as video
from services.orchestrator.settings import Settings
from tests.integration.orchestrator.conftest import driving
from tests.integration.orchestrator.driver import Driver, S, identity
from tests.integration.orchestrator.fakes import FakeBilling, FakeSafety
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(
    settings: Settings, fakes: tuple[FakeSafety, FakeBilling, str]
) -> AsyncIterator[tuple[Driver, Driver]]:
    """Started together on an empty database, so that both want to migrate it."""
    async with contextlib.AsyncExitStack() as stack:
        first, second = driving(settings, fakes), driving(settings, fakes)
        yield await asyncio.gather(stack.enter_async_context(first), stack.enter_async_context(second))


async def test_a_watcher_of_one_sees_what_happens_at_the_other(replicas: tuple[Driver, Driver]) -> None:
    here, there = replicas
    job = await here.generating("replicas")
    request_id = job.request.request_id
    events = there.videos.WatchVideo(video.WatchVideoRequest(request_id=request_id), metadata=identity("replicas"))
    stream = aiter(events)
    async with asyncio.timeout(20):
        await anext(stream)
        report = pb.ReportProgressRequest(request_id=request_id, epoch=job.epoch, step=7, step_time_ms=50)
        await here.jobs.ReportProgress(report)
        assert (await anext(stream)).progress.step == 7
        await here.cancel("replicas", request_id)
        assert [event.error.error_code async for event in stream] == ["CANCELLED"]


async def test_one_key_at_both_makes_one_job(replicas: tuple[Driver, Driver]) -> None:
    key, holds = str(uuid.uuid4()), len(replicas[0].billing.holds)
    ids = await asyncio.gather(*(replica.create("both", key=key) for replica in replicas * 10))
    assert len(set(ids)) == 1
    assert len(replicas[0].billing.holds) == holds + 1


async def test_an_expired_lease_is_taken_away_once(replicas: tuple[Driver, Driver]) -> None:
    job = await replicas[0].assigned("reaped")
    await replicas[0].expire_lease(job)
    await eventually(lambda: _is_queued(replicas[1], job))
    after = await replicas[1].job(job.request.request_id)
    assert (after.attempts, after.epoch, after.rev) == (1, job.epoch + 1, job.rev + 1)


async def test_a_job_is_assigned_at_one_of_them_only(replicas: tuple[Driver, Driver]) -> None:
    job = await replicas[0].queued("assigned once")
    answers = await asyncio.gather(
        *(replica.assign(job, f"worker-{n}") for n, replica in enumerate(replicas * 4)), return_exceptions=True
    )
    assert sum(isinstance(answer, pb.Job) for answer in answers) == 1
    assert all(isinstance(answer, pb.Job | grpc.aio.AioRpcError) for answer in answers)


async def _is_queued(driver: Driver, job: pb.Job) -> bool:
    return (await driver.job(job.request.request_id)).request.status == S.VIDEO_STATUS_QUEUED
