"""Runway's API."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from aiohttp import web

from tests.support.providers.fake import FakeProvider, Json, Operation

_RATIOS = {"1280:720", "720:1280"}


@dataclass
class FakeRunway(FakeProvider):
    """The API of one organisation."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/text_to_video", self._create),
            web.post("/v1/image_to_video", self._create),
            web.get("/v1/tasks/{id}", self._retrieve),
            web.delete("/v1/tasks/{id}", self._delete),
            web.get("/public/{id}.mp4", self._download),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        assert request.headers["X-Runway-Version"] == "2024-11-06"
        order: Json = await request.json()
        assert ("promptImage" in order) == request.path.endswith("image_to_video")
        wrong = order["ratio"] not in _RATIOS or not 2 <= order["duration"] <= 10
        if wrong or not 0 < len(order["promptText"].encode("utf-16-le")) <= 2000:
            return web.json_response({"error": "Validation of body failed", "issues": []}, status=400)
        operation = self.begin(order)
        identifier = str(uuid.uuid4())
        self.operations[identifier] = self.operations.pop(operation.identifier)
        operation.identifier = identifier
        return web.json_response({"id": identifier, "estimatedCost": {"credits": 12.0 * order["duration"]}})

    async def _retrieve(self, request: web.Request) -> web.Response:
        found = self.look(request.match_info["id"])
        if found is None:
            return web.json_response({"error": "Task not found"}, status=404)
        return web.json_response(self._task(*found))

    def _task(self, operation: Operation, ended: bool) -> Json:
        task: Json = {"id": operation.identifier, "createdAt": "2026-01-01T00:00:00.000Z"}
        cost = {"credits": 12 * operation.order["duration"]}
        if operation.cancelled:
            return {**task, "status": "CANCELLED", "cost": cost}
        if not ended:
            return {**task, "status": "RUNNING", "progress": 0.4, "estimatedCost": cost}
        if self.outcome == "success":
            output = [f"{self.url}/public/{operation.identifier}.mp4?_jwt=secret"]
            return {**task, "status": "SUCCEEDED", "output": output, "cost": cost}
        code = {"failure": "INTERNAL.BAD_OUTPUT.CODE01", "refusal": "SAFETY.INPUT.TEXT"}[self.outcome]
        return {**task, "status": "FAILED", "failure": "no", "failureCode": code, "cost": {"credits": 3}}

    async def _delete(self, request: web.Request) -> web.Response:
        self.operations[request.match_info["id"]].cancelled = True
        return web.Response(status=204)

    async def _download(self, request: web.Request) -> web.Response:
        # What is signed into the address is enough; the secret must not travel to a store of files.
        assert "Authorization" not in request.headers or request.host in self.url
        return web.Response(body=self.video, content_type="video/mp4")
