"""A client of server-sent events that costs next to nothing, as thousands share one process."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.waiting import eventually

_STEP = re.compile(rb'"step": (\d+)')
_ENDS = (b"event: error\n", b"event: completed\n")


class EventStream(asyncio.Protocol):
    """One open stream; notes when each step arrived first."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.accepted = False
        self.steps: dict[int, float] = {}
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._told_the_end = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self._started.is_set():
            self.accepted = data.startswith(b"HTTP/1.1 200")
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            self._note(block, now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._started.set()
        self._ended.set()

    async def wait_started(self, timeout_s: float) -> None:
        """Waits for the snapshot, or the end."""
        await _within(self._started, timeout_s)

    async def wait_step(self, step: int, timeout_s: float) -> bool:
        """Waits for a step; returns whether it came."""

        async def came() -> bool:
            return step in self.steps

        with suppress(TimeoutError):
            await eventually(came, timeout_s=timeout_s)
        return step in self.steps

    async def wait_ended(self, timeout_s: float) -> bool:
        """Waits for the end; returns whether it was told."""
        await _within(self._ended, timeout_s)
        return self._told_the_end

    def _note(self, block: bytes, now: float) -> None:
        if (step := _STEP.search(block)) is not None:
            self.steps.setdefault(int(step[1]), now)
            self._started.set()
        elif any(end in block for end in _ENDS):
            self._told_the_end = True
            self._ended.set()


async def open_stream(url: str, video: str, token: str) -> EventStream:
    """Connects and asks for a video's events."""
    parts, request = urlsplit(url), request_of(url, video, token)
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: EventStream(request), str(parts.hostname), int(parts.port or 80))
    return stream


def request_of(url: str, video: str, token: str) -> bytes:
    """The request for a video's events."""
    host = urlsplit(url).netloc
    lines = (f"GET /v1/videos/{video}/stream HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}")
    return "\r\n".join((*lines, "", "")).encode()


async def _within(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
