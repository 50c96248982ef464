"""`GET /v1/videos/{request_id}/progress`: a video's life over a WebSocket."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeAlias

import grpc
from aiohttp import WSCloseCode, web

from gateway.edge.caller import REQUEST_ID_HEADER, USER_HEADER, metadata, token_expires_at
from gateway.edge.messages import is_terminal, to_message
from gateway.edge.tickets import TTL_S, Grant, Tickets
from kinemesh.video.v1.video_service_pb2 import GetVideoRequest, WatchVideoRequest, WatchVideoResponse
from services.common.errors import ServiceError, Unauthenticated, UpgradeRequired
from services.common.rpc.client import error_from_rpc
from services.common.rpc.status import json_body

if TYPE_CHECKING:
    from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceAsyncStub

_LONGEST_S = 7 * 86_400.0
"""Where no token is known to end; no video takes so long."""
Watching: TypeAlias = "grpc.aio.UnaryStreamCall[WatchVideoRequest, WatchVideoResponse]"


class ProgressSocket:
    """Forwards WatchVideo to a WebSocket; ends after the terminal event, with the token, or when the client goes."""

    def __init__(self, videos: VideoServiceAsyncStub, heartbeat_s: float) -> None:
        self._videos = videos
        self._heartbeat_s = heartbeat_s
        self._tickets = Tickets()

    def add_routes(self, app: web.Application) -> None:
        """Adds the socket, and where browsers get tickets for it."""
        app.router.add_get("/v1/videos/{request_id}/progress", self._handle, allow_head=False)
        app.router.add_post("/v1/videos/{request_id}/progress/ticket", self._issue_ticket)

    async def _issue_ticket(self, request: web.Request) -> web.Response:
        """Answers for a foreign video as for one that is not there."""
        message = GetVideoRequest(request_id=request.match_info["request_id"])
        try:
            await self._videos.GetVideo(message, metadata=metadata(request))
        except grpc.aio.AioRpcError as error:
            return _refusal(error_from_rpc(error), request)
        ticket = self._tickets.issue(_grant(request))
        return web.json_response({"ticket": ticket, "expires_in_seconds": TTL_S}, headers={"Cache-Control": "no-store"})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        """Answers in HTTP while the video is not known to exist, then upgrades."""
        try:
            grant = self._admit(request)
            call = self._watch(request, grant)
            first = await call.read()
        except grpc.aio.AioRpcError as error:
            return _refusal(error_from_rpc(error), request)
        except ServiceError as error:
            return _refusal(error, request)
        # A client that does not read answers no ping either, and is cut off; others have connections of their own.
        socket = web.WebSocketResponse(heartbeat=self._heartbeat_s)
        await socket.prepare(request)
        try:
            await _forward(call, first, socket, grant.token_expires_at - time.time())
        finally:
            call.cancel()
        return socket

    def _admit(self, request: web.Request) -> Grant:
        if request.headers.get("upgrade", "").lower() != "websocket":
            raise UpgradeRequired("UPGRADE_REQUIRED", "this is a WebSocket")
        if "ticket" not in request.query:
            return _grant(request)
        grant = self._tickets.redeem(request.query["ticket"], request.match_info["request_id"])
        if grant is None:
            raise Unauthenticated("UNAUTHENTICATED", "the ticket is used, too old, or for another video")
        return grant

    def _watch(self, request: web.Request, grant: Grant) -> Watching:
        caller = ((USER_HEADER, grant.user_id), (REQUEST_ID_HEADER, request.headers.get(REQUEST_ID_HEADER, "")))
        last_event_id = request.query.get("last_event_id", "")
        message = WatchVideoRequest(request_id=grant.request_id, last_event_id=last_event_id)
        return self._videos.WatchVideo(message, metadata=caller)


def _grant(request: web.Request) -> Grant:
    user_id = request.headers.get(USER_HEADER, "")
    return Grant(user_id, request.match_info["request_id"], token_expires_at(request))


async def _forward(call: Watching, first: object, socket: web.WebSocketResponse, valid_s: float) -> None:
    sending = asyncio.create_task(_send_all(call, first, socket))
    receiving = asyncio.create_task(_until_closed(socket))
    done, pending = await asyncio.wait(
        {sending, receiving}, timeout=min(valid_s, _LONGEST_S), return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if sending in done:
        await socket.close(code=sending.result())
    elif not done:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"the token has expired")


async def _send_all(call: Watching, first: object, socket: web.WebSocketResponse) -> int:
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
    headers = {"Upgrade": "websocket"} if isinstance(error, UpgradeRequired) else {}
    return web.Response(status=error.http_code, text=body, content_type="application/json", headers=headers)
