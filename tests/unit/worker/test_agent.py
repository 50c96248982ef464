"""Orders of the scheduler, with a runner that waits to be told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2, worker_pb2
from services.common.catalogue import load_catalogue
from services.worker.agent import Agent
from services.worker.errors import GivenBackError
from services.worker.models import ModelPool
from services.worker.state import WorkerState
from services.worker.work import StopRequest
from tests.unit.worker.test_models import MemoryTriton

Response = scheduler_service_pb2.ConnectWorkerResponse


class WaitingRunner:
    """Works until it is stopped or told that it is done."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.refused: list[tuple[str, int]] = []
        self.done = asyncio.Event()

    async def run(
        self, assignment: scheduler_service_pb2.Assignment, stop: StopRequest
    ) -> scheduler_service_pb2.AssignmentFinished:
        self.begun.append(assignment.job.request.request_id)
        waits = {asyncio.ensure_future(self.done.wait()), asyncio.ensure_future(stop.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        outcome = scheduler_service_pb2.ASSIGNMENT_OUTCOME_DONE
        try:
            stop.check()
        except GivenBackError as error:
            self.refused.append(("stopped", error.reason))
            outcome = scheduler_service_pb2.ASSIGNMENT_OUTCOME_REQUEUED
        return scheduler_service_pb2.AssignmentFinished(
            request_id=assignment.job.request.request_id, epoch=assignment.job.epoch, outcome=outcome
        )

    async def refuse(
        self, job: job_service_pb2.Job, reason: job_service_pb2.RequeueReason.ValueType
    ) -> scheduler_service_pb2.AssignmentFinished:
        self.refused.append((job.request.request_id, reason))
        return scheduler_service_pb2.AssignmentFinished(request_id=job.request.request_id, epoch=job.epoch)


class Bench:
    def __init__(self) -> None:
        self.state = WorkerState()
        self.triton = MemoryTriton(self.state)
        self.runner = WaitingRunner()
        pool = ModelPool(self.triton, load_catalogue(Path("deploy/catalogue.yaml")), self.state, 10)
        self.agent = Agent(self.runner, pool, self.state)

    def assign(self, request_id: str, epoch: int = 1) -> None:
        job = job_service_pb2.Job(epoch=epoch)
        job.request.request_id = request_id
        self.agent.obey(Response(assign=scheduler_service_pb2.Assignment(job=job)))

    def preempt(self, request_id: str, epoch: int = 1) -> None:
        self.agent.obey(Response(preempt=scheduler_service_pb2.PreemptOrder(request_id=request_id, epoch=epoch)))

    async def settled(self) -> list[str]:
        self.runner.done.set()
        await self.agent.settle()
        return [finished.request_id for finished in self.agent.finished]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_one_assignment_at_a_time_and_a_repeated_one_once(bench: Bench) -> None:
    bench.assign("a")
    bench.assign("a")
    bench.assign("b")
    assert sorted(await bench.settled()) == ["a", "b"]
    assert bench.runner.begun == ["a"]
    assert bench.runner.refused == [("b", job_service_pb2.REQUEUE_REASON_WORKER_LOST)]


async def test_the_next_assignment_follows_the_end_of_the_last(bench: Bench) -> None:
    bench.assign("a")
    await bench.settled()
    bench.assign("b")
    assert await bench.settled() == ["a", "b"]
    assert bench.runner.begun == ["a", "b"]


async def test_only_the_job_in_hand_is_preempted(bench: Bench) -> None:
    bench.assign("a", epoch=2)
    bench.preempt("b", epoch=2)
    bench.preempt("a", epoch=1)
    assert not bench.runner.refused
    bench.preempt("a", epoch=2)
    await bench.agent.settle()
    assert bench.runner.refused == [("stopped", job_service_pb2.REQUEUE_REASON_PREEMPTED)]
    assert bench.agent.finished[0].outcome == scheduler_service_pb2.ASSIGNMENT_OUTCOME_REQUEUED


async def test_draining_gives_back_what_is_in_hand_and_what_still_comes(bench: Bench) -> None:
    bench.assign("a")
    bench.agent.obey(Response(drain=scheduler_service_pb2.DrainOrder()))
    bench.assign("b")
    await bench.agent.settle()
    assert bench.state.status == worker_pb2.WORKER_STATUS_DRAINING
    drained = job_service_pb2.REQUEUE_REASON_DRAINED
    assert sorted(bench.runner.refused) == [("b", drained), ("stopped", drained)]


async def test_an_order_loads_a_model_and_a_foolish_one_harms_nothing(bench: Bench) -> None:
    for model in ("REFERENCE", "SORA"):
        bench.agent.obey(Response(load_model=scheduler_service_pb2.LoadModelOrder(model=model)))
    await bench.agent.settle()
    assert [model.name for model in bench.state.models] == ["REFERENCE"]
    assert bench.state.status == worker_pb2.WORKER_STATUS_READY
