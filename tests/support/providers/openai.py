"""OpenAI's Videos API, with the liberties that engines of its shape take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.providers.fake import FakeProvider, Json, Operation


@dataclass
class FakeOpenAI(FakeProvider):
    """The endpoint; its base URL is `url` and /v1."""

    keys: dict[str, str] = field(default_factory=dict)
    """Operations by idempotency key."""
    loose: bool = False
    """Whether it takes every liberty at once: 202, errors as text in a 500, an address instead of /content."""
    elsewhere: str = ""
    """Where /content leads; empty for the video itself."""
    synchronous: bool = False
    """Whether a video is ready when it is created, and has an address but no id."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/videos", self._create),
            web.get("/v1/videos/{id}", self._retrieve),
            web.get("/v1/videos/{id}/content", self._content),
            web.delete("/v1/videos/{id}", self._delete),
            web.get("/public/{id}.mp4", self._content),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        assert request.content_type == "multipart/form-data"
        form = await request.post()
        order: Json = {
            name: value.file.read() if isinstance(value, web.FileField) else value for name, value in form.items()
        }
        if self.outcome == "refusal" and not self.loose:
            return _error(400, "content_policy_violation")
        if order.get("size") not in {"1280x720", "720x1280"}:
            return _error(400, "invalid_value")
        key = request.headers.get("Idempotency-Key", "")
        if (known := self.keys.get(key)) is not None:
            return web.json_response(self._video(self.operations[known], "queued"))
        operation = self.begin(order)
        if key:
            self.keys[key] = operation.identifier
        if self.synchronous:
            return web.json_response({"status": "completed", "url": f"{self.url}/public/{operation.identifier}.mp4"})
        return web.json_response(self._video(operation, "queued"), status=202 if self.loose else 200)

    async def _retrieve(self, request: web.Request) -> web.Response:
        found = self.look(request.match_info["id"])
        if found is None:
            return _error(404, "not_found")
        operation, ended = found
        if not ended:
            return web.json_response(self._video(operation, "postprocessing" if self.loose else "in_progress"))
        if self.outcome == "success":
            return web.json_response(self._video(operation, "completed"))
        error: Any = {"code": _CODES[self.outcome], "message": "it did not work"}
        video = {**self._video(operation, "failed"), "error": error["code"] if self.loose else error}
        return web.json_response(video, status=500 if self.loose else 200)

    async def _content(self, request: web.Request) -> web.Response:
        if self.elsewhere:
            raise web.HTTPFound(self.elsewhere)
        return web.Response(body=self.video, content_type="video/mp4")

    async def _delete(self, request: web.Request) -> web.Response:
        operation = self.operations[request.match_info["id"]]
        operation.cancelled = True
        return web.json_response({"id": operation.identifier, "object": "video.deleted", "deleted": True})

    def _video(self, operation: Operation, status: str) -> Json:
        ended = status in {"completed", "failed"}
        video = {
            "id": operation.identifier,
            "object": "video",
            "model": operation.order.get("model", "sora-2"),
            "status": status,
            "progress": 100 if ended else 40,
            "created_at": 1_700_000_000,
            "completed_at": 1_700_000_100 if ended else None,
            "expires_at": None,
            "prompt": operation.order["prompt"],
            "seconds": operation.order.get("seconds", "4"),
            "size": operation.order.get("size", "1280x720"),
            "remixed_from_video_id": None,
            "error": None,
        }
        if self.loose and status == "completed":
            video["url"] = f"{self.url}/public/{operation.identifier}.mp4"
        return video


_CODES = {"failure": "server_error", "refusal": "moderation_blocked"}


def _error(status: int, code: str) -> web.Response:
    error = {"code": code, "message": "no", "type": "invalid_request_error", "param": None}
    return web.json_response({"error": error}, status=status)
