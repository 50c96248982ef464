"""Preemption is checked with the orchestrator first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import grpc
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.scheduler.dispatch import Dispatcher
from services.scheduler.domain.jobs import QueuedJob, Tier
from services.scheduler.domain.placement import Preempt, RunningJob
from services.scheduler.store import assignments, queue

NOW = datetime(2026, 1, 28, 10, 30, tzinfo=UTC)
VICTIM = RunningJob(uuid4(), 1, "bob", Tier.CINEMA, 100, NOW, 5, 50, denoising=True, preempting=False)
WAITING = QueuedJob(
    request_id=uuid4(),
    user_id="ada",
    tier=Tier.REALTIME,
    priority=100,
    model="A",
    prompt_embedding_path="s3://embeddings/x",
    duration_seconds=5,
    resolution="480P",
    num_steps=50,
    enable_audio=False,
    enqueued_at=NOW,
)


class World:
    """The orchestrator, the worker's stream and the tables."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: video_pb2.VideoStatus.ValueType | None) -> None:
        self.status = status
        self.sent: list[Any] = []
        self.dropped: list[UUID] = []
        self.noted: list[UUID] = []
        monkeypatch.setattr(queue, "drop", self.drop)
        monkeypatch.setattr(assignments, "note_preemption", self.note_preemption)

    async def GetJob(self, request: pb.GetJobRequest, timeout: float) -> pb.GetJobResponse:
        assert request.request_id == str(WAITING.request_id)
        if self.status is None:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
        return pb.GetJobResponse(job=pb.Job(request=video_pb2.VideoGenerationRequest(status=self.status)))

    def find(self, worker_id: str) -> World:
        return self

    def send(self, order: Any) -> bool:
        self.sent.append(order)
        return True

    async def drop(self, pool: Any, request_id: UUID, seen_before: datetime) -> None:
        self.dropped.append(request_id)

    async def note_preemption(self, pool: Any, request_id: UUID, epoch: int) -> None:
        self.noted.append(request_id)


@pytest.mark.parametrize(
    ("status", "ordered", "dropped"),
    [
        (video_pb2.VIDEO_STATUS_QUEUED, True, False),
        (video_pb2.VIDEO_STATUS_ASSIGNED, False, True),
        (video_pb2.VIDEO_STATUS_CANCELLED, False, True),
        (None, False, False),
    ],
)
async def test_only_for_a_job_that_really_waits_is_another_ordered_back(
    monkeypatch: pytest.MonkeyPatch, status: video_pb2.VideoStatus.ValueType | None, ordered: bool, dropped: bool
) -> None:
    world = World(monkeypatch, status)
    everything = cast(Any, world)
    dispatcher = Dispatcher(cast(Any, None), everything, everything, cast(Any, None), 10)
    await dispatcher.carry_out(Preempt("w1", VICTIM, WAITING), NOW)
    assert ([order.preempt.request_id for order in world.sent], world.noted, world.dropped) == (
        [str(VICTIM.request_id)] * ordered,
        [VICTIM.request_id] * ordered,
        [WAITING.request_id] * dropped,
    )
