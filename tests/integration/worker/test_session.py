"""A worker's life with its scheduler."""

from __future__ import annotations

import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2
from tests.integration.worker.conftest import Bench
from tests.support.inference import kill_stub
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


async def test_registers_with_what_it_is_and_has(bench: Bench) -> None:
    (registration,) = bench.scheduler.registrations
    state = registration.state
    assert state.worker_id == "worker-under-test"
    assert state.hardware.gpu_memory_total_gb > state.hardware.gpu_memory_used_gb > 0
    assert (state.loaded_models.dit_model, state.loaded_models.audio_model) == ("REFERENCE", "audio")
    assert list(registration.models) == ["REFERENCE"]


async def test_heartbeats_follow_the_job(bench: Bench) -> None:
    await bench.take_job()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"

    async def ready() -> bool:
        return bench.scheduler.statuses()[-1] == "READY"

    await eventually(ready)
    assert [status for status in bench.scheduler.statuses() if status != "READY"] == ["GENERATING", "DECODING"]
    during = [beat for beat in bench.scheduler.heartbeats if beat.state.HasField("current_job")]
    assert {beat.state.current_job.request_id for beat in during} == {bench.jobs.job.request.request_id}
    metrics = bench.scheduler.heartbeats[-1].state.metrics
    assert (metrics.jobs_completed_today, metrics.error_count_today) == (1, 0)
    assert metrics.average_generation_time_ms > 0


async def test_a_job_outlives_a_broken_stream(bench: Bench) -> None:
    def hang_up(request: object) -> None:
        if isinstance(request, job_service_pb2.ReportProgressRequest) and request.step == 1:
            bench.scheduler.hang_up()

    await bench.take_job(num_inference_steps=20)
    bench.jobs.on_call = hang_up
    bench.scheduler.assign(bench.jobs)
    await bench.registered(times=2)
    again = bench.scheduler.registrations[1]
    assert (again.resumed_request_id, again.resumed_epoch) == (bench.jobs.job.request.request_id, bench.jobs.job.epoch)
    assert await bench.scheduler.outcome() == "DONE"


async def test_a_drained_worker_gives_its_job_back_and_takes_no_other(bench: Bench) -> None:
    def drain(request: object) -> None:
        if isinstance(request, job_service_pb2.ReportProgressRequest) and request.step == 1:
            bench.scheduler.order(drain=scheduler_service_pb2.DrainOrder())

    await bench.take_job(num_inference_steps=100)
    bench.jobs.on_call = drain
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "REQUEUED"
    await bench.take_job()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "REQUEUED"
    reasons = [call.reason for call in bench.jobs.made(job_service_pb2.RequeueJobRequest)]
    assert reasons == [job_service_pb2.REQUEUE_REASON_DRAINED] * 2
    assert bench.scheduler.statuses()[-1] == "DRAINING"


async def test_a_model_killed_while_idle_is_replaced(bench: Bench) -> None:
    kill_stub(bench.inference.address, "audio")

    async def works() -> bool:
        try:
            await bench.inference.client.probe("audio")
        except Exception:
            return False
        return True

    await eventually(works, timeout_s=60)
