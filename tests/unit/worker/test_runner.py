"""What becomes of an assignment that goes wrong before or while it is worked on."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.scheduler.v1 import scheduler_service_pb2
from kinemesh.video.v1 import video_pb2
from services.worker.assignment import AssignmentRunner
from services.worker.errors import ModelBrokenError
from services.worker.scratch import Scratch
from services.worker.state import WorkerState
from services.worker.work import StopRequest


class Jobs:
    """The orchestrator, which has one job."""

    def __init__(self, told: list[str]) -> None:
        self.job = pb.Job(epoch=3)
        self.job.request.request_id = "11111111-1111-4111-8111-111111111111"
        self.job.request.generation_config.model = video_pb2.MODEL_REFERENCE
        self.job.lease_expires_at.GetCurrentTime()
        self.failed: list[pb.FailJobRequest] = []
        self._told = told

    async def RenewLease(self, request: Any, **how: Any) -> pb.RenewLeaseResponse:
        return pb.RenewLeaseResponse()

    async def FailJob(self, request: pb.FailJobRequest, **how: Any) -> pb.FailJobResponse:
        self._told.append("failed")
        self.failed.append(request)
        self.job.ClearField("lease_expires_at")
        return pb.FailJobResponse(job=self.job)


class Models:
    """Models one of which is broken."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    async def ensure(self, name: str) -> Any:
        raise ModelBrokenError(name)

    async def recover(self, name: str, error: Exception) -> None:
        self._told.append("recovered")


class Bench:
    def __init__(self, tmp_path: Path) -> None:
        self.told: list[str] = []
        self.jobs = Jobs(self.told)
        self.scratch = Scratch(tmp_path, 3600)
        self.scratch.prepare()
        self.state = WorkerState()

    async def run(self) -> str:
        stub = SimpleNamespace(RenewLease=self.jobs.RenewLease, FailJob=self.jobs.FailJob)
        runner = AssignmentRunner(
            cast(Any, stub), "worker", cast(Any, Models(self.told)), self.scratch, self.state, stages={}
        )
        finished = await runner.run(scheduler_service_pb2.Assignment(job=self.jobs.job), StopRequest())
        assert self.state.job is None
        return scheduler_service_pb2.AssignmentOutcome.Name(finished.outcome)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_full_disk_gives_the_job_to_another_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*args: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(bench.scratch, "open", no_space)
    assert await bench.run() == "ASSIGNMENT_OUTCOME_FAILED"
    (failed,) = bench.jobs.failed
    assert (failed.epoch, failed.retriable) == (3, True)


async def test_a_broken_model_is_repaired_after_its_job_has_gone(bench: Bench) -> None:
    assert await bench.run() == "ASSIGNMENT_OUTCOME_FAILED"
    assert bench.told == ["failed", "recovered"]


async def test_nothing_of_an_assignment_is_left(bench: Bench, tmp_path: Path) -> None:
    await bench.run()
    assert not list((tmp_path / "jobs").iterdir())
