"""Streams end with the token they were opened with, in every form; videos go on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
import pytest_asyncio
import websockets

from kinemesh.video.v1.video_service_pb2 import WatchVideoRequest
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.support.front import Front

TOKEN_S = 2
WITHIN_S = 60


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def video(front: Front) -> AsyncIterator[str]:
    """A video nobody works on, so that its stream is silent."""
    async with front.user("ines") as ines:
        video = await ines.accepted()
        yield video
        assert (await ines.call("GET", f"/v1/videos/{video}")).body["status"] == "PENDING"
        await ines.call("DELETE", f"/v1/videos/{video}")


async def _sse(front: Front, video: str, token: str) -> None:
    url = f"{front.url}/v1/videos/{video}/stream?access_token={token}"
    async with httpx.AsyncClient(trust_env=False, timeout=WITHIN_S) as http, http.stream("GET", url) as stream:
        assert (await stream.aread()).startswith(b"event: progress\n")


async def _websocket(front: Front, video: str, token: str) -> None:
    url = f"{front.url.replace('http', 'ws', 1)}/v1/videos/{video}/progress?access_token={token}"
    async with websockets.connect(url, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "progress"
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (1008, "the token has expired")


async def _grpc(front: Front, video: str, token: str) -> None:
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(front.url.removeprefix("http://")) as channel:
        call = VideoServiceStub(channel).WatchVideo(WatchVideoRequest(request_id=video), metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            _ = [event async for event in call]
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("watch", [_sse, _websocket, _grpc])
async def test_a_stream_ends_with_its_token(front: Front, video: str, watch: object) -> None:
    assert callable(watch)
    expires_at = int(time.time()) + TOKEN_S
    async with asyncio.timeout(WITHIN_S):
        await watch(front, video, front.token("ines", TOKEN_S))
    assert time.time() >= expires_at
