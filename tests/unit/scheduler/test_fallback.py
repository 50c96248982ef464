"""Jobs whose model nobody offers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

import grpc
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.scheduler.domain.placement import Situation, Worker
from services.scheduler.fallback import Mover, Unserved
from services.scheduler.store import queue
from tests.unit.scheduler.test_dispatch import NOW, WAITING

SORA = replace(WAITING, model="SORA")


class World:
    """The orchestrator, the queue and the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.fallbacks = [video_pb2.MODEL_VEO3, video_pb2.MODEL_REFERENCE]
        self.asked = 0
        self.moved: list[pb.MoveJobRequest] = []
        self.dropped: list[UUID] = []
        self.unreachable = False
        monkeypatch.setattr(queue, "drop", self.drop)
        self.mover = Mover(cast(Any, None), cast(Any, self), Unserved(30, clock=lambda: self.now))

    async def round(self, *offered: str, jobs: Any = (SORA,)) -> None:
        workers = [Worker("w", frozenset(offered), "", "", accepting=True, running=None)]
        await self.mover.run(Situation(jobs, workers, {}, NOW))

    async def GetJob(self, request: pb.GetJobRequest, timeout: float) -> pb.GetJobResponse:
        self.asked += 1
        return pb.GetJobResponse(job=pb.Job(fallbacks=self.fallbacks))

    async def MoveJob(self, request: pb.MoveJobRequest, timeout: float) -> pb.MoveJobResponse:
        if self.unreachable:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
        self.moved.append(request)
        return pb.MoveJobResponse()

    async def drop(self, pool: Any, request_id: UUID, seen_before: datetime) -> None:
        self.dropped.append(request_id)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_a_job_moves_to_the_first_model_that_somebody_offers(world: World) -> None:
    await world.round("REFERENCE")
    world.now = 29
    await world.round("REFERENCE")
    assert (world.asked, world.moved) == (0, [])
    world.now = 30
    await world.round("REFERENCE")
    (moved,) = world.moved
    assert (moved.request_id, moved.from_model, moved.to_model) == (
        str(SORA.request_id),
        video_pb2.MODEL_SORA,
        video_pb2.MODEL_REFERENCE,
    )
    assert world.dropped == [SORA.request_id]


async def test_a_model_that_comes_back_has_its_time_again(world: World) -> None:
    await world.round("REFERENCE")
    world.now = 29
    await world.round("REFERENCE", "SORA")
    world.now = 40
    await world.round("REFERENCE")
    world.now = 69
    await world.round("REFERENCE")
    assert not world.moved


async def test_a_job_whose_user_did_not_allow_it_waits_and_is_asked_about_once(world: World) -> None:
    world.fallbacks = []
    await world.round("REFERENCE")
    world.now = 100
    for _ in range(3):
        await world.round("REFERENCE")
    assert (world.asked, world.moved, world.dropped) == (1, [], [])
    await world.round("REFERENCE", jobs=[replace(SORA, request_id=uuid4())])
    await world.round("REFERENCE")
    assert world.asked == 3


async def test_what_could_not_be_moved_is_moved_in_the_next_round(world: World) -> None:
    await world.round("REFERENCE")
    world.now, world.unreachable = 30, True
    await world.round("REFERENCE")
    assert not world.dropped
    world.unreachable = False
    await world.round("REFERENCE")
    assert world.dropped == [SORA.request_id]
