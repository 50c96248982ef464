"""One finished video that many tests look at, and a user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import nats
import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from kinemesh.video.v1.video_service_pb2 import WatchVideoResponse
from tests.support.mesh import Json, RunningMesh, User
from tests.support.watchers import Event, watch_grpc, watch_sse, watch_websocket

STEPS = 8
"""Denoising steps of the finished video: enough for a checkpoint on the way."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the whole mesh; the first test also waits for its start."""
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def user(mesh: RunningMesh) -> AsyncIterator[User]:
    """A caller with fresh credits."""
    async with mesh.user("ada") as user:
        yield user


@dataclass(frozen=True)
class Finished:
    """A video that went through, and all that was said about it meanwhile."""

    owner: User
    id: str
    accepted: Json
    body: Json
    sse: list[Event]
    websocket: list[Event]
    grpc: list[WatchVideoResponse]
    queue_messages: list[Json]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def finished(mesh: RunningMesh) -> AsyncIterator[Finished]:
    """The small video of a user who made no other, watched in three ways from its first moment."""
    queue_messages: list[Json] = []

    async def note(message: Msg) -> None:
        queue_messages.append(json.loads(message.data))

    broker = await nats.connect(mesh.inside.nats.url)
    await broker.subscribe("video_generation_jobs.>", cb=note)
    async with mesh.user("grace") as owner:
        accepted = (await owner.create(num_inference_steps=STEPS)).body
        video = accepted["request_id"]
        sse, websocket, grpc = await asyncio.gather(
            watch_sse(owner, video), watch_websocket(mesh, owner, video), watch_grpc(mesh, owner, video)
        )
        body = (await owner.call("GET", f"/v1/videos/{video}")).body
        yield Finished(owner, video, accepted, body, sse, websocket, grpc, queue_messages)
    await broker.close()
