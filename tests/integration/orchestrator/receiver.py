"""A user's server, which answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    """A user's server."""

    url: str = ""
    answers: dict[str, list[int]] = field(default_factory=dict)
    """Status codes to answer next, by path; then 200."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """Answers wait for these, by path."""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """Headers of every answer, by path."""
    calls: dict[str, int] = field(default_factory=dict)
    """Calls under way, by path."""
    most_calls: dict[str, int] = field(default_factory=dict)
    """Most calls that were under way at once, by path."""
    got: dict[str, list[tuple[Any, bytes]]] = field(default_factory=dict)

    def gate(self, path: str) -> None:
        """Answers nothing on this path until `open`."""
        self.gates[path] = asyncio.Event()

    def open(self, path: str) -> None:
        """Answers, and from now on at once."""
        self.gates[path].set()

    async def handle(self, request: web.Request) -> web.Response:
        self.got.setdefault(request.path, []).append((request.headers, await request.read()))
        self.calls[request.path] = self.calls.get(request.path, 0) + 1
        self.most_calls[request.path] = max(self.most_calls.get(request.path, 0), self.calls[request.path])
        try:
            return await self._answer(request)
        finally:
            self.calls[request.path] -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path in self.gates:
            await self.gates[request.path].wait()
        planned = self.answers.get(request.path) or [200]
        status = planned.pop(0)
        headers = self.headers.get(request.path, {})
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Runs one on a free port."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()
