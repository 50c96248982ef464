"""`GET /v1/videos/{request_id}/progress`: a video's life over a WebSocket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from aiohttp import WSCloseCode, web

from gateway.edge.messages import is_terminal, to_message
from kinemesh.video.v1.video_service_pb2 import WatchVideoRequest, WatchVideoResponse
from services.common.errors import ServiceError
from services.common.rpc.client import error_from_rpc
from services.common.rpc.status import json_body

if TYPE_CHECKING:
    from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceAsyncStub

USER_HEADER = "x-user-id"
REQUEST_ID_HEADER = "x-request-id"


class ProgressSocket:
    """Forwards WatchVideo to a WebSocket; ends after the terminal event or when the client goes."""

    def __init__(self, videos: VideoServiceAsyncStub, heartbeat_s: float) -> None:
        self._videos = videos
        self._heartbeat_s = heartbeat_s

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers in HTTP while the video is not known to exist, then upgrades."""
        call = self._watch(request)
        try:
            first = await call.read()
        except grpc.aio.AioRpcError as error:
            return _refusal(error_from_rpc(error), request)
        socket = web.WebSocketResponse(heartbeat=self._heartbeat_s)
        await socket.prepare(request)
        try:
            await self._forward(call, first, socket)
        finally:
            call.cancel()
        return socket

    def _watch(self, request: web.Request) -> grpc.aio.UnaryStreamCall[WatchVideoRequest, WatchVideoResponse]:
        headers = ((name, request.headers.get(name)) for name in (USER_HEADER, REQUEST_ID_HEADER))
        metadata = tuple((name, value) for name, value in headers if value)
        last_event_id = request.query.get("last_event_id", "")
        message = WatchVideoRequest(request_id=request.match_info["request_id"], last_event_id=last_event_id)
        return self._videos.WatchVideo(message, metadata=metadata)

    async def _forward(
        self,
        call: grpc.aio.UnaryStreamCall[WatchVideoRequest, WatchVideoResponse],
        first: object,
        socket: web.WebSocketResponse,
    ) -> None:
        sending = asyncio.create_task(_send_all(call, first, socket))
        receiving = asyncio.create_task(_until_closed(socket))
        _, pending = await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if sending.done() and not sending.cancelled():
            await socket.close(code=sending.result())


async def _send_all(
    call: grpc.aio.UnaryStreamCall[WatchVideoRequest, WatchVideoResponse],
    first: object,
    socket: web.WebSocketResponse,
) -> int:
    """Sends every event until the stream's end, which is no event; returns the code to close with."""
    event = first
    try:
        while isinstance(event, WatchVideoResponse):
            message = to_message(event)
            await socket.send_json(message)
            if is_terminal(message):
                return WSCloseCode.OK
            event = await call.read()
    except grpc.aio.AioRpcError:
        return WSCloseCode.TRY_AGAIN_LATER
    except ConnectionError:
        return WSCloseCode.GOING_AWAY
    return WSCloseCode.TRY_AGAIN_LATER


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Reads what the client sends, which means nothing, until it closes."""
    async for _ in socket:
        pass


def _refusal(error: ServiceError, request: web.Request) -> web.Response:
    body = json_body(error, request.headers.get(REQUEST_ID_HEADER, ""))
    return web.Response(status=error.http_code, text=body, content_type="application/json")
