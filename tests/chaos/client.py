"""A client of the REST API that asks again until it gets a definite answer, and remembers everything."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from tests.chaos.history.model import TERMINAL, Cancel, Create, Probe, Stream, StreamEvent
from tests.support.mesh import User
from tests.support.watchers import BEGINNING, STATUS_OF_PHASE

_OUTAGE = {429, 502, 503, 504}
_PATIENCE_S = 120.0
_BROKEN = (httpx.HTTPError, json.JSONDecodeError)


class Client:
    """One user."""

    def __init__(self, user: User, seed: int) -> None:
        self.name = user.name
        self.events = 0
        """How many events all streams have brought."""
        self.creates: list[Create] = []
        self.cancels: list[Cancel] = []
        self.probes: list[Probe] = []
        self.answers: Counter[int] = Counter()
        self._http = user.http
        self._random = random.Random(f"{user.name}/{seed}")

    async def create(self, key: str, body: dict[str, Any]) -> str | None:
        """Asks for a video under a key; returns its id if it was accepted."""
        response = await self._until_definite("POST", "/v1/videos", json=body, headers={"x-request-id": key})
        request_id = response.json().get("request_id") if response.status_code == 202 else None
        self.creates.append(
            Create(user=self.name, key=key, body=body, status=response.status_code, request_id=request_id)
        )
        return request_id

    async def cancel(self, video: str) -> None:
        """Cancels a video of the user's own."""
        response = await self._until_definite("DELETE", f"/v1/videos/{video}")
        # Money is compared as text: a float of JSON has no digits of its own.
        answer = json.loads(response.text, parse_float=Decimal, parse_int=Decimal)
        refunded = answer["refunded_credits"] if response.status_code == 200 else None
        self.cancels.append(Cancel(user=self.name, request_id=video, status=response.status_code, refunded=refunded))

    async def probe(self, method: str, video: str, *, exists: bool) -> None:
        """Tries a video that is not the user's."""
        response = await self._until_definite(method, f"/v1/videos/{video}")
        answer = {name: value for name, value in response.json().items() if name != "request_id"}
        body = json.dumps(answer).replace(video, "")
        self.probes.append(Probe(method=method, status=response.status_code, body=body, exists=exists))

    async def listed(self) -> list[str]:
        """The ids in the user's list."""
        response = await self._until_definite("GET", "/v1/videos?limit=100")
        return [video["request_id"] for video in response.json()["videos"]]

    async def watch(self, video: str, *, late: bool = False) -> Stream:
        """Follows a video to its end, coming back with the last event's id whenever the stream breaks."""
        events: list[StreamEvent] = []
        last_id = "" if late else BEGINNING
        deadline = time.monotonic() + 4 * _PATIENCE_S
        while not (events and events[-1].status in TERMINAL) and time.monotonic() < deadline:
            try:
                last_id = await self._follow(video, last_id, events)
            except _BROKEN:
                await self._pause()
        return Stream(request_id=video, late=late, events=events)

    async def _follow(self, video: str, last_id: str, events: list[StreamEvent]) -> str:
        headers = {"last-event-id": last_id} if last_id else {}
        path = f"/v1/videos/{video}/stream"
        async with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(10, read=30)) as response:
            if response.status_code != 200:
                self.answers[response.status_code] += 1
                await self._pause()
                return last_id
            fields: dict[str, str] = {}
            try:
                async for line in response.aiter_lines():
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    if not line and "data" in fields:
                        events.append(_event(json.loads(fields["data"])))
                        self.events += 1
                        last_id, fields = fields.get("id", last_id), {}
            except _BROKEN:
                await self._pause()
        return last_id

    async def _until_definite(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeats the same call until the answer is the system's own."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                response = await self._http.request(method, path, **options)
                self.answers[response.status_code] += 1
                if _is_definite(response):
                    return response
                last: object = response
            except _BROKEN as error:
                last = error
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: no definite answer, last {last!r}")
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.uniform(0.1, 0.5))


def _is_definite(response: httpx.Response) -> bool:
    """Whether a repetition would get the same answer; raises JSONDecodeError for one that is not the system's own."""
    reason = response.json().get("code")
    return response.status_code not in _OUTAGE and reason != "IDEMPOTENCY_KEY_IN_USE"


def _event(data: dict[str, Any]) -> StreamEvent:
    status = data.get("status") or STATUS_OF_PHASE.get(data.get("new_phase", ""), "")
    return StreamEvent(
        request_id=data["request_id"],
        status=status,
        percent=data.get("percent"),
        step=data.get("step"),
        at=datetime.fromisoformat(data["timestamp"]),
    )
