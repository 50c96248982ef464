"""The routes under `/openai/v1/videos`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import web
from google.api.httpbody_pb2 import HttpBody

from gateway.edge.caller import REQUEST_ID_HEADER, Metadata, metadata
from gateway.edge.openai.answers import describe, poll_after_ms
from gateway.edge.openai.bodies import MAX_BODY_BYTES, read_fields
from gateway.edge.openai.orders import read_order, remix_order
from gateway.edge.openai.problems import openai_errors
from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.errors import InvalidArgument, RouteNotFound

if TYPE_CHECKING:
    from gateway.edge.openai.content import Content
    from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceAsyncStub

CREATE_TIMEOUT_S = 25.0
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
_KEYS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:kinemesh:openai:idempotency-key")


class OpenAiVideos:
    """A client of the orchestrator that speaks OpenAI's dialect to its own clients."""

    def __init__(self, videos: VideoServiceAsyncStub, content: Content) -> None:
        self._videos = videos
        self._content = content

    def app(self) -> web.Application:
        """The application to mount at `/openai/v1`."""
        app = web.Application(middlewares=[openai_errors], client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/videos", self._create)
        app.router.add_get("/videos", self._list)
        # Before the routes with an id, which these would be taken for.
        app.router.add_route("*", "/videos/{what:edits|extensions|characters}", _not_offered)
        app.router.add_route("*", "/videos/{what:characters}/{id}", _not_offered)
        app.router.add_get("/videos/{id}", self._retrieve)
        app.router.add_delete("/videos/{id}", self._delete)
        app.router.add_get("/videos/{id}/content", self._download, allow_head=False)
        app.router.add_post("/videos/{id}/remix", self._remix)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        return await self._order(request, read_order(await read_fields(request)))

    async def _remix(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        return await self._order(request, remix_order(fields, await self._get(request)))

    async def _order(self, request: web.Request, order: bytes) -> web.Response:
        message = pb.CreateVideoFromJsonRequest(body=HttpBody(content_type="application/json", data=order))
        call = self._videos.CreateVideoFromJson(message, metadata=_once(request), timeout=CREATE_TIMEOUT_S)
        accepted = await call
        return _answer(await self._read(request, accepted.request_id))

    async def _retrieve(self, request: web.Request) -> web.Response:
        return _answer(await self._get(request))

    async def _list(self, request: web.Request) -> web.Response:
        limit, ascending = _limit(request), _ascending(request)
        if limit == 0:
            return _page([], has_more=False)
        message = pb.ListFullVideosRequest(limit=limit, after=request.query.get("after", ""), ascending=ascending)
        found = await self._videos.ListFullVideos(message, metadata=metadata(request))
        return _page([describe(video) for video in found.videos], has_more=found.has_more)

    async def _delete(self, request: web.Request) -> web.Response:
        message = pb.DeleteVideoRequest(request_id=request.match_info["id"])
        deleted = await self._videos.DeleteVideo(message, metadata=metadata(request))
        return web.json_response({"id": deleted.request_id, "object": "video.deleted", "deleted": True})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await self._content.send(request, await self._get(request))

    async def _get(self, request: web.Request) -> pb.GetVideoResponse:
        return await self._read(request, request.match_info["id"])

    async def _read(self, request: web.Request, video_id: str) -> pb.GetVideoResponse:
        return await self._videos.GetVideo(pb.GetVideoRequest(request_id=video_id), metadata=metadata(request))


async def _not_offered(request: web.Request) -> web.Response:
    raise RouteNotFound("ROUTE_NOT_FOUND", f"{request.match_info['what']} are not offered here")


def _once(request: web.Request) -> Metadata:
    """With the idempotency key as the services know it, a UUID; without one the request's own id serves."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return metadata(request)
    others = tuple(pair for pair in metadata(request) if pair[0] != REQUEST_ID_HEADER)
    return (*others, (REQUEST_ID_HEADER, str(uuid.uuid5(_KEYS, key))))


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(_DEFAULT_LIMIT))
    if not text.isascii() or not text.isdecimal() or len(text) > 3 or int(text) > _MAX_LIMIT:
        raise InvalidArgument.of_field("limit", f"must be between 0 and {_MAX_LIMIT}")
    return int(text)


def _ascending(request: web.Request) -> bool:
    order = request.query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidArgument.of_field("order", "must be asc or desc")
    return order == "asc"


def _answer(video: pb.GetVideoResponse) -> web.Response:
    wait_ms = poll_after_ms(video)
    headers = {} if wait_ms is None else {"openai-poll-after-ms": str(wait_ms)}
    return web.json_response(describe(video), headers=headers)


def _page(videos: list[dict[str, Any]], *, has_more: bool) -> web.Response:
    first, last = (videos[0]["id"], videos[-1]["id"]) if videos else (None, None)
    return web.json_response(
        {"object": "list", "data": videos, "first_id": first, "last_id": last, "has_more": has_more}
    )
