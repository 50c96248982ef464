"""Server-sent events, WebSocket, gRPC and gRPC-web through Envoy."""

from __future__ import annotations

import asyncio
import json
import struct

import grpc
import httpx
import pytest
import websockets

from kinemesh.video.v1.video_service_pb2 import (
    CreateVideoRequest,
    GetVideoRequest,
    GetVideoResponse,
    WatchVideoRequest,
    WatchVideoResponse,
)
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.integration.gateway.conftest import REQUESTS_PER_MINUTE, Gateway
from tests.integration.gateway.services import KNOWN_ID, SILENT_ID

pytestmark = pytest.mark.integration

DEADLINE_S = 10.0


async def test_sse_arrives_event_by_event_and_ends_with_its_client(gateway: Gateway, http: httpx.AsyncClient) -> None:
    seen = ""
    async with http.stream("GET", f"/v1/videos/{KNOWN_ID}/stream", headers=gateway.headers()) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        async for chunk in stream.aiter_text():
            seen += chunk
            if seen.count("\n\n") == 3:  # the server goes on for ever, so nothing was held back
                break
    assert seen.startswith("id: 0\nevent: progress\ndata: {}\n\n")
    await asyncio.wait_for(gateway.videos.stream_ended.wait(), DEADLINE_S)


async def test_sse_passes_last_event_id_on(gateway: Gateway, http: httpx.AsyncClient) -> None:
    headers = {**gateway.headers(), "last-event-id": "2"}
    await http.get(f"/v1/videos/{KNOWN_ID}/stream", headers=headers)
    assert gateway.videos.metadata["last-event-id"] == "2"


async def test_sse_of_an_unknown_video_is_a_plain_404(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/videos/unknown/stream", headers=gateway.headers())
    assert response.status_code == 404
    assert response.json()["code"] == "VIDEO_NOT_FOUND"


def _socket_url(gateway: Gateway, request_id: str) -> str:
    url = gateway.url.replace("http://", "ws://")
    return f"{url}/v1/videos/{request_id}/progress"


async def test_websocket_writes_the_messages_of_the_design(gateway: Gateway) -> None:
    async with websockets.connect(_socket_url(gateway, KNOWN_ID), additional_headers=gateway.headers()) as socket:
        messages = [json.loads(message) async for message in socket]
    assert socket.close_code == 1000
    progress, completed = messages
    assert progress["type"] == "progress"
    assert progress["status"] == "GENERATING"
    assert progress["progress"] == {
        "step": 30,
        "total_steps": 50,
        "percent": 60,
        "phase": "dit_inference",
        "eta_seconds": 0,
        "checkpoint_available": False,
    }
    assert (completed["type"], completed["video_url"]) == ("completed", "https://cdn.example.com/v.mp4")
    assert gateway.videos.metadata["x-user-id"] == "alice"


async def test_websocket_of_an_unknown_video_is_not_upgraded(gateway: Gateway) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(_socket_url(gateway, "unknown"), additional_headers=gateway.headers())
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["code"] == "VIDEO_NOT_FOUND"


async def test_native_grpc_keeps_its_status_and_details(gateway: Gateway) -> None:
    metadata = (("authorization", f"Bearer {gateway.token()}"),)
    async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
        videos = VideoServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await videos.CreateVideo(CreateVideoRequest(prompt="poor"), metadata=metadata, timeout=DEADLINE_S)
        events = [event async for event in videos.WatchVideo(WatchVideoRequest(request_id=KNOWN_ID), metadata=metadata)]
        with pytest.raises(grpc.aio.AioRpcError) as anonymous:
            await videos.GetVideo(GetVideoRequest(request_id=KNOWN_ID), timeout=DEADLINE_S)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    trailers = dict(refused.value.trailing_metadata() or ())
    assert "grpc-status-details-bin" in trailers
    assert json.loads(trailers["x-error-json"])["code"] == "INSUFFICIENT_CREDITS"
    assert [event.WhichOneof("event") for event in events] == ["progress", "completed"]
    assert anonymous.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not (anonymous.value.details() or "").startswith("{")


async def test_a_silent_watch_outlives_the_idle_timeout(gateway: Gateway, http: httpx.AsyncClient) -> None:
    metadata = (("authorization", f"Bearer {gateway.token()}"),)
    async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
        watching = VideoServiceStub(channel).WatchVideo(WatchVideoRequest(request_id=SILENT_ID), metadata=metadata)
        await watching.initial_metadata()
        # An event stream opened later and just as silent: once Envoy has cut it, the watch has been silent for longer.
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"/v1/videos/{KNOWN_ID}/stream", headers=gateway.headers())
        gateway.videos.speak.set()
        event = await asyncio.wait_for(watching.read(), DEADLINE_S)
    assert isinstance(event, WatchVideoResponse)
    assert event.WhichOneof("event") == "completed"


async def test_grpc_web(gateway: Gateway, http: httpx.AsyncClient) -> None:
    request = GetVideoRequest(request_id=KNOWN_ID).SerializeToString()
    frame = b"\x00" + struct.pack(">I", len(request)) + request
    headers = {**gateway.headers(), "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    response = await http.post("/kinemesh.video.v1.VideoService/GetVideo", content=frame, headers=headers)
    assert response.status_code == 200
    (size,) = struct.unpack(">I", response.content[1:5])
    assert GetVideoResponse.FromString(response.content[5 : 5 + size]).status == "COMPLETED"
    assert b"grpc-status:0" in response.content[5 + size :]


async def test_a_user_over_the_rate_is_told_so_in_grpc_too(gateway: Gateway) -> None:
    metadata = tuple(gateway.headers("greedy by gRPC").items())
    async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
        video = VideoServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            for _ in range(2 * REQUESTS_PER_MINUTE):
                await video.GetVideo(GetVideoRequest(request_id=KNOWN_ID), metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
