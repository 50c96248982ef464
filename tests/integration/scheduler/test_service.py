"""The whole service: registry, queue, assignment, preemption, drain, takeover."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import grpc
import pytest

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.jetstream import JetStream
from services.common.rpc.client import error_from_rpc
from tests.integration.scheduler.conftest import Replica, Scheduler
from tests.integration.scheduler.fakes import FakeJobs, FakeWorker, connected
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

Jobs = tuple[FakeJobs, str]
Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def _ready(scheduler: Scheduler, worker_id: str = "w1", gpu_type: str = "cpu") -> AsyncIterator[FakeWorker]:
    """A registered worker, on the leader."""

    async def leads() -> bool:
        # A stream that does not register leaves no trace; only the leader reads so far as to refuse it.
        async with connected(scheduler.address, "probe") as probe:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await probe.beat(worker_pb2.WORKER_STATUS_READY)
                await probe.order()
        return raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    await eventually(leads)
    async with connected(scheduler.address, worker_id) as worker:
        worker.state.hardware.gpu_type = gpu_type
        terms = await worker.register()
        assert (terms.heartbeat_interval_seconds, terms.lease_seconds) == (5, 60)
        yield worker


async def _status(scheduler: Scheduler, worker_id: str = "w1") -> worker_pb2.WorkerStatus.ValueType:
    response = await scheduler.workers.GetWorker(pb.GetWorkerRequest(worker_id=worker_id))
    return response.worker.status


async def _announce(jetstream: JetStream, job: job_service_pb2.Job) -> None:
    tier = video_pb2.Tier.Name(job.request.tier).removeprefix("TIER_")
    body = {
        "request_id": job.request.request_id,
        "user_id": job.request.user_id,
        "tier": tier,
        "priority": job.request.priority,
        "model": video_pb2.Model.Name(job.request.generation_config.model).removeprefix("MODEL_"),
        "prompt_embedding_path": job.artifacts.prompt_embedding_uri,
        "config": {"duration_seconds": 5, "resolution": "480P", "num_steps": 50, "enable_audio": False},
        "enqueued_at": job.request.updated_at.ToJsonString(),
    }
    await jetstream.publish(f"video_generation_jobs.{tier.lower()}", json.dumps(body).encode(), str(uuid4()))


async def test_a_worker_registers_reports_and_leaves(scheduler: Scheduler, database: Database) -> None:
    async with _ready(scheduler) as worker_stream:
        await worker_stream.beat(worker_pb2.WORKER_STATUS_LOADING_MODEL)

        async def loading() -> bool:
            return await _status(scheduler) == worker_pb2.WORKER_STATUS_LOADING_MODEL

        await eventually(loading)
        [worker] = (await scheduler.workers.ListWorkers(pb.ListWorkersRequest())).workers
        assert (worker.worker_id, worker.pod_name, worker.hardware.gpu_memory_used_gb) == ("w1", "pod-w1", 1.25)
        assert worker.loaded_models.dit_model == "REFERENCE"
        assert await database.fetchval("SELECT loaded_models ->> 'vae_model' FROM gpu_workers") == "video_vae"

    async def offline() -> bool:
        return await _status(scheduler) == worker_pb2.WORKER_STATUS_OFFLINE

    await eventually(offline)


async def test_a_silent_worker_is_offline_and_its_stream_ends(scheduler: Scheduler, database: Database) -> None:
    async with _ready(scheduler) as worker:
        await database.execute("UPDATE gpu_workers SET last_heartbeat = last_heartbeat - interval '61 s'")
        with pytest.raises(EOFError):
            await worker.order()
        assert await _status(scheduler) == worker_pb2.WORKER_STATUS_OFFLINE


async def test_an_unknown_worker_is_not_found(scheduler: Scheduler) -> None:
    for call in (
        scheduler.workers.GetWorker(pb.GetWorkerRequest(worker_id="nobody")),
        scheduler.scheduling.DrainWorker(pb.DrainWorkerRequest(worker_id="nobody")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert error_from_rpc(raised.value).reason == "RESOURCE_NOT_FOUND"


async def test_a_queued_job_reaches_the_worker_with_its_checkpoint(
    scheduler: Scheduler, jobs: Jobs, jetstream: JetStream, database: Database
) -> None:
    job = jobs[0].add()
    request_id = job.request.request_id
    jobs[0].checkpoints[request_id] = checkpoint_pb2.VideoJobCheckpoint(request_id=request_id, step_number=30)
    async with _ready(scheduler) as worker:
        await _announce(jetstream, job)
        assignment = await worker.assignment()
        assert (assignment.job.request.request_id, assignment.job.epoch) == (request_id, 2)
        assert assignment.checkpoint.step_number == 30
        await worker.finish(assignment, pb.ASSIGNMENT_OUTCOME_DONE)

        async def counted() -> bool:
            answer = await scheduler.workers.GetWorker(pb.GetWorkerRequest(worker_id="w1"))
            metrics = answer.worker.metrics
            return (metrics.jobs_completed_today, metrics.average_generation_time_ms) == (1, 1500)

        await eventually(counted)
    row = await database.fetchrow("SELECT outcome, duration_ms, worker_id FROM assignments")
    assert row is not None
    assert tuple(row) == ("DONE", 1500, "w1")
    assert await database.fetchval("SELECT count(*) FROM job_queue") == 0


async def test_a_lost_message_loses_nothing(scheduler: Scheduler, jobs: Jobs) -> None:
    async with _ready(scheduler) as worker:
        added = {jobs[0].add().request.request_id for _ in range(3)}
        seen = set()
        for _ in added:
            assignment = await worker.assignment()
            seen.add(assignment.job.request.request_id)
            await worker.finish(assignment, pb.ASSIGNMENT_OUTCOME_DONE)
    assert seen == added


async def test_what_is_no_longer_queued_leaves_the_queue(
    scheduler: Scheduler, jobs: Jobs, jetstream: JetStream
) -> None:
    cancelled, unknown = jobs[0].add(), jobs[0].add()
    cancelled.request.status = video_pb2.VIDEO_STATUS_CANCELLED
    del jobs[0].jobs[unknown.request.request_id]
    kept = jobs[0].add()
    for job in (cancelled, unknown, kept):
        await _announce(jetstream, job)

    async def only_one_left() -> bool:
        queue = await scheduler.scheduling.ListQueue(pb.ListQueueRequest())
        return [entry.request_id for entry in queue.entries] == [kept.request.request_id] and queue.total == 1

    await eventually(only_one_left)
    async with _ready(scheduler) as worker:
        assert (await worker.assignment()).job.request.request_id == kept.request.request_id
    assert [request_id for request_id, _ in jobs[0].assigned] == [kept.request.request_id]


async def test_twenty_jobs_and_three_workers_and_no_job_is_given_twice(
    scheduler: Scheduler, jobs: Jobs, jetstream: JetStream
) -> None:
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(_ready(scheduler, f"w{number}")) for number in range(3)]
        added = [jobs[0].add(user_id=f"user-{number % 2}") for number in range(20)]
        for job in added:
            await _announce(jetstream, job)
            await _announce(jetstream, job)
        finished: list[str] = []

        async def work(worker: FakeWorker) -> None:
            while True:
                assignment = await worker.assignment()
                await worker.finish(assignment, pb.ASSIGNMENT_OUTCOME_DONE)
                finished.append(assignment.job.request.request_id)

        async def all_finished() -> bool:
            return len(finished) >= len(added)

        # Which of the free workers gets a job is the scheduler's choice.
        working = [asyncio.create_task(work(worker)) for worker in workers]
        await eventually(all_finished)
        for task in working:
            task.cancel()
        await asyncio.wait(working)
    given = [request_id for request_id, _ in jobs[0].assigned]
    assert sorted(given) == sorted(job.request.request_id for job in added)


async def test_a_model_is_loaded_before_the_job_is_given(scheduler: Scheduler, jobs: Jobs) -> None:
    async with _ready(scheduler) as worker:
        job = jobs[0].add(model="MOCHI1")
        order = await worker.order()
        assert order.load_model.model == "MOCHI1"
        await worker.beat(worker_pb2.WORKER_STATUS_LOADING_MODEL)
        assert jobs[0].assigned == []
        worker.state.loaded_models.dit_model = "MOCHI1"
        await worker.beat(worker_pb2.WORKER_STATUS_READY)
        assert (await worker.assignment()).job.request.request_id == job.request.request_id


async def test_a_realtime_job_preempts_and_the_victim_goes_on_afterwards(scheduler: Scheduler, jobs: Jobs) -> None:
    async with _ready(scheduler) as worker:
        victim = jobs[0].add(tier="CINEMA")
        assignment = await worker.assignment()
        urgent = jobs[0].add(tier="REALTIME", user_id="bob")
        order = await worker.order()
        assert (order.preempt.request_id, order.preempt.epoch) == (victim.request.request_id, assignment.job.epoch)
        victim.request.status, victim.epoch = video_pb2.VIDEO_STATUS_QUEUED, victim.epoch + 1
        await worker.finish(assignment, pb.ASSIGNMENT_OUTCOME_REQUEUED)
        second = await worker.assignment()
        assert second.job.request.request_id == urgent.request.request_id
        await worker.finish(second, pb.ASSIGNMENT_OUTCOME_DONE)
        third = await worker.assignment()
        assert (third.job.request.request_id, third.job.epoch) == (victim.request.request_id, assignment.job.epoch + 2)


async def test_a_provider_s_job_is_never_taken_away_for_another(scheduler: Scheduler, jobs: Jobs) -> None:
    """By its name the provider's worker would be the first choice."""
    async with _ready(scheduler, "a", gpu_type="provider") as provider, _ready(scheduler, "b") as own:
        for _ in range(2):
            jobs[0].add(tier="CINEMA")
        await asyncio.gather(provider.assignment(), own.assignment())
        jobs[0].add(tier="REALTIME", user_id="bob")
        assert (await own.order()).HasField("preempt")


async def test_a_draining_worker_is_told_and_gets_no_more(scheduler: Scheduler, jobs: Jobs) -> None:
    async with _ready(scheduler, "w1") as draining, _ready(scheduler, "w2") as other:
        answer = await scheduler.scheduling.DrainWorker(pb.DrainWorkerRequest(worker_id="w1"))
        assert answer.worker.status == worker_pb2.WORKER_STATUS_DRAINING
        assert (await draining.order()).HasField("drain")
        job = jobs[0].add()
        assert (await other.assignment()).job.request.request_id == job.request.request_id


async def test_a_worker_that_comes_back_without_its_job_loses_it_at_once(scheduler: Scheduler, jobs: Jobs) -> None:
    async with _ready(scheduler) as worker:
        job = jobs[0].add()
        first = await worker.assignment()
    async with _ready(scheduler) as worker:
        again = await worker.assignment()
    lost = job_service_pb2.REQUEUE_REASON_WORKER_LOST
    assert jobs[0].requeued[0] == (job.request.request_id, first.job.epoch, lost)
    assert again.job.request.request_id == job.request.request_id
    assert again.job.epoch > first.job.epoch


async def test_a_job_that_moved_on_is_not_given_back(scheduler: Scheduler, jobs: Jobs, database: Database) -> None:
    async with _ready(scheduler) as worker:
        job = jobs[0].add()
        assignment = await worker.assignment()
    job.request.status = video_pb2.VIDEO_STATUS_SAFETY_CHECKING
    async with _ready(scheduler) as worker:
        assert await database.fetchval("SELECT outcome FROM assignments") == "LOST"
        await worker.finish(assignment, pb.ASSIGNMENT_OUTCOME_DONE)

        async def told_afterwards() -> bool:
            return bool(await database.fetchval("SELECT outcome = 'DONE' FROM assignments"))

        await eventually(told_afterwards)
    assert jobs[0].requeued == []


async def test_a_worker_that_comes_back_with_its_job_keeps_it(
    scheduler: Scheduler, jobs: Jobs, database: Database
) -> None:
    async with _ready(scheduler) as worker:
        jobs[0].add()
        assignment = await worker.assignment()
    async with connected(scheduler.address, "w1") as worker:
        worker.state.status = worker_pb2.WORKER_STATUS_GENERATING
        worker.state.current_job.request_id = assignment.job.request.request_id
        await worker.register((assignment.job.request.request_id, assignment.job.epoch))
        await worker.finish(assignment, pb.ASSIGNMENT_OUTCOME_DONE)

        async def done() -> bool:
            return bool(await database.fetchval("SELECT outcome = 'DONE' FROM assignments"))

        await eventually(done)
    assert jobs[0].requeued == []


async def test_the_first_message_must_register(scheduler: Scheduler) -> None:
    async with _ready(scheduler), connected(scheduler.address, "w2") as rude:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rude.beat(worker_pb2.WORKER_STATUS_READY)
            await rude.order()
        assert error_from_rpc(raised.value).violations[0].field == "register"


async def test_the_days_counters_begin_at_zero(scheduler: Scheduler, database: Database) -> None:
    async with _ready(scheduler):
        await database.execute("UPDATE gpu_workers SET jobs_completed_today = 5, counters_day = counters_day - 1")

        async def zero() -> bool:
            return bool(await database.fetchval("SELECT jobs_completed_today = 0 FROM gpu_workers"))

        await eventually(zero)


async def test_a_standby_answers_reads_refuses_workers_and_takes_over(replica: Replica, jobs: Jobs) -> None:
    async with AsyncExitStack() as leaders_life:
        leader = await leaders_life.enter_async_context(replica())
        async with _ready(leader) as worker, replica() as standby:
            assert await _status(standby) == worker_pb2.WORKER_STATUS_READY
            async with connected(standby.address, "w2") as refused:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await refused.register()
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            await leaders_life.aclose()
            with pytest.raises((EOFError, grpc.aio.AioRpcError)):
                await worker.order()
            job = jobs[0].add()
            async with _ready(standby) as moved:
                assert (await moved.assignment()).job.request.request_id == job.request.request_id


async def test_a_leader_whose_session_is_gone_stops_leading(scheduler: Scheduler, database: Database) -> None:
    async with _ready(scheduler) as worker:
        assert await database.fetchval("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'kinemesh-scheduler-leader' AND datname = current_database()
        """)
        with pytest.raises(EOFError):
            await worker.order()
    async with _ready(scheduler):
        pass
