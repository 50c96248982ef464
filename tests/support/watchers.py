"""Three ways to watch a video through the gateway, each yielding what it was told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import grpc
import httpx
from websockets.asyncio.client import connect

from kinemesh.video.v1.video_pb2 import VideoStatus
from kinemesh.video.v1.video_service_pb2 import WatchVideoRequest, WatchVideoResponse
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.support.mesh import RunningMesh, User

Event = dict[str, Any]

BEGINNING = "0-0"
"""The event id before a video's first event."""

HAPPY_PATH = [
    "PENDING",
    "ENCODING",
    "QUEUED",
    "ASSIGNED",
    "GENERATING",
    "VAE_DECODING",
    "AUDIO_GENERATING",
    "SAFETY_CHECKING",
    "TRANSCODING",
    "UPLOADING",
    "COMPLETED",
]

STATUS_OF_PHASE = {
    "queued": "QUEUED",
    "prompt_encoding": "ENCODING",
    "dit_inference": "GENERATING",
    "vae_decoding": "VAE_DECODING",
    "audio_generation": "AUDIO_GENERATING",
    "safety_check": "SAFETY_CHECKING",
    "transcoding": "TRANSCODING",
    "upload": "UPLOADING",
}
"""The status that a server-sent phase_change, which names phases only, leads to."""


async def watch_sse(user: User, video: str, last_event_id: str = BEGINNING) -> list[Event]:
    """Server-sent events to the terminal one, as {"event", "id", "data"}."""
    headers = {"last-event-id": last_event_id}
    timeout = httpx.Timeout(30, read=60)
    async with user.http.stream("GET", f"/v1/videos/{video}/stream", headers=headers, timeout=timeout) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        return parse_sse((await response.aread()).decode())


def parse_sse(text: str) -> list[Event]:
    """The events of a finished stream; comments are left out."""
    blocks = (block for block in text.split("\n\n") if block.strip())
    return [event for event in map(_parse_block, blocks) if event]


def _parse_block(block: str) -> Event:
    fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
    return {**fields, "data": json.loads(fields["data"])} if "data" in fields else {}


async def watch_websocket(mesh: RunningMesh, user: User, video: str) -> list[Event]:
    """WebSocket messages until the server closes."""
    address = mesh.url.replace("http", "ws", 1)
    url = f"{address}/v1/videos/{video}/progress?last_event_id={BEGINNING}&access_token={mesh.token(user.name)}"
    async with connect(url, proxy=None) as socket:
        return [json.loads(message) async for message in socket]


async def watch_grpc(mesh: RunningMesh, user: User, video: str) -> list[WatchVideoResponse]:
    """Events of the server-streaming RPC until it ends."""
    metadata = (("authorization", f"Bearer {mesh.token(user.name)}"),)
    request = WatchVideoRequest(request_id=video, last_event_id=BEGINNING)
    async with grpc.aio.insecure_channel(mesh.url.removeprefix("http://")) as channel:
        call = VideoServiceStub(channel).WatchVideo(request, metadata=metadata)
        return [event async for event in call]


def status_of(event: WatchVideoResponse) -> str:
    """The status as the REST API names it."""
    return VideoStatus.Name(event.status).removeprefix("VIDEO_STATUS_")


def sse_status_of(event: Event) -> str:
    """The status a server-sent event tells of."""
    data: dict[str, str] = event["data"]
    return data.get("status") or STATUS_OF_PHASE[data["new_phase"]]


def without_repeats(statuses: Iterable[str]) -> list[str]:
    """Each status once, at its first place after another."""
    seen: list[str] = []
    for status in statuses:
        if not seen or seen[-1] != status:
            seen.append(status)
    return seen
