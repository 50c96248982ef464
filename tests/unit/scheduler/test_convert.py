"""What workers say is checked; a worker's description survives the way through the registry's types."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from kinemesh.scheduler.v1 import worker_pb2
from services.common.errors import InvalidArgument
from services.scheduler import convert
from services.scheduler.domain.workers import Finished, Heartbeat, Outcome, Register


def _state(**changes: object) -> worker_pb2.GPUWorkerState:
    state = worker_pb2.GPUWorkerState(
        worker_id="w1",
        pod_name="pod",
        node_name="node",
        status=worker_pb2.WORKER_STATUS_GENERATING,
        hardware=worker_pb2.WorkerHardware(
            gpu_type="H100-80GB", gpu_count=2, gpu_memory_total_gb=160, gpu_memory_used_gb=40.5, nvlink_topology="NV18"
        ),
        loaded_models=worker_pb2.LoadedModels(dit_model="MOCHI1", vae_model="vae", text_encoders=["t5"]),
        current_job=worker_pb2.CurrentJob(request_id=str(uuid4()), current_step=7),
        metrics=worker_pb2.WorkerMetrics(checkpoint_save_time_ms=120),
    )
    state.loaded_models.dit_model_loaded_at.FromDatetime(datetime(2026, 1, 28, tzinfo=UTC))
    state.current_job.started_at.FromDatetime(datetime(2026, 1, 28, 1, tzinfo=UTC))
    for name, value in changes.items():
        setattr(state, name, value)
    return state


def test_a_workers_description_survives_both_ways() -> None:
    state = _state()
    assert convert.from_state(convert.to_state(state)) == state


def test_users_are_not_told_whose_job_a_worker_is_on() -> None:
    worker = convert.from_state_for_users(convert.to_state(_state()))
    assert worker.current_job.current_step == 7
    assert worker.current_job.request_id == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"worker_id": ""}, "worker_id"),
        ({"worker_id": "x" * 65}, "worker_id"),
        ({"pod_name": "a\0"}, "pod_name"),
        ({"status": worker_pb2.WORKER_STATUS_UNSPECIFIED}, "status"),
        ({"status": worker_pb2.WORKER_STATUS_OFFLINE}, "status"),
    ],
)
def test_a_bad_description_is_refused_with_the_field_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        convert.to_state(_state(**change))


def test_figures_outside_their_ranges_are_brought_back() -> None:
    state = _state()
    state.hardware.gpu_memory_used_gb = float("nan")
    state.hardware.gpu_count = -1
    beat = convert.to_message(pb.ConnectWorkerRequest(heartbeat=pb.WorkerHeartbeat(state=state, gpu_utilization=1.7)))
    assert isinstance(beat, Heartbeat)
    assert (beat.gpu_utilization, beat.state.hardware.memory_used_gb, beat.state.hardware.gpu_count) == (1.0, 0.0, 0)


def test_a_registration_names_models_and_the_job_that_goes_on() -> None:
    job = uuid4()
    register = pb.RegisterWorker(state=_state(), models=["A", "B"], resumed_request_id=str(job), resumed_epoch=3)
    message = convert.to_message(pb.ConnectWorkerRequest(register=register))
    assert isinstance(message, Register)
    assert (message.models, message.resumed) == (frozenset("AB"), (job, 3))


def test_an_end_needs_an_outcome() -> None:
    finished = pb.AssignmentFinished(
        request_id=str(uuid4()), epoch=2, outcome=pb.ASSIGNMENT_OUTCOME_DONE, duration_ms=10
    )
    message = convert.to_message(pb.ConnectWorkerRequest(finished=finished))
    assert isinstance(message, Finished)
    assert message.outcome is Outcome.DONE
    finished.outcome = pb.ASSIGNMENT_OUTCOME_UNSPECIFIED
    with pytest.raises(InvalidArgument, match="outcome"):
        convert.to_message(pb.ConnectWorkerRequest(finished=finished))


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="message"):
        convert.to_message(pb.ConnectWorkerRequest())


@pytest.mark.parametrize("size", [-1, 1001])
def test_bad_page_sizes_are_refused(size: int) -> None:
    with pytest.raises(InvalidArgument, match="page_size"):
        convert.to_page_size(size)
