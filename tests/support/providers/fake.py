"""What the fakes have in common: a key, operations that take a few looks, and answers that a test puts in their way."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aiohttp import web

KEY = "the-key-of-the-installation"
Outcome: TypeAlias = Literal["success", "failure", "refusal"]
Json = dict[str, Any]


@dataclass
class Operation:
    """A video being made."""

    identifier: str
    order: Json
    """As it was sent."""
    looks: int = 0
    """How often it was looked at."""
    cancelled: bool = False


@dataclass
class FakeProvider:
    """One provider; a subclass speaks for it."""

    video: bytes = b""
    """What every operation makes."""
    outcome: Outcome = "success"
    """How operations end."""
    looks_needed: int = 2
    """Looks until an operation has ended."""
    operations: dict[str, Operation] = field(default_factory=dict)
    in_the_way: deque[Callable[[], web.Response]] = field(default_factory=deque)
    """Answers to the next calls, whatever they are."""
    down: bool = False
    """Answers every call with 503."""
    calls: list[str] = field(default_factory=list)
    """Method and path of every call."""
    keys_seen: set[str] = field(default_factory=set)
    """What callers said to be allowed in."""
    url: str = ""
    """Where it listens."""

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        raise NotImplementedError

    def refusal_of_key(self) -> web.Response:
        """Its answer to a wrong key."""
        return web.json_response({"error": {"code": "invalid_api_key", "message": "no"}}, status=401)

    def begin(self, order: Json) -> Operation:
        """Begins an operation."""
        operation = Operation(f"operation-{len(self.operations) + 1}", order)
        self.operations[operation.identifier] = operation
        return operation

    def look(self, identifier: str) -> tuple[Operation, bool] | None:
        """Looks at an operation; tells whether it has ended. None for an unknown one."""
        operation = self.operations.get(identifier)
        if operation is None:
            return None
        operation.looks += 1
        return operation, operation.looks >= self.looks_needed

    @web.middleware
    async def guard(self, request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> Any:
        """Stands before every route."""
        self.calls.append(f"{request.method} {request.path}")
        self.keys_seen.add(request.headers.get("Authorization", ""))
        if self.down:
            return web.Response(status=503)
        if self.in_the_way:
            return self.in_the_way.popleft()()
        if request.headers.get("Authorization") != f"Bearer {KEY}" and not request.path.startswith("/public/"):
            return self.refusal_of_key()
        return await handler(request)


def busy(retry_after: str = "0") -> web.Response:
    """The provider has too much to do."""
    return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": retry_after})


def garbage() -> web.Response:
    """Something that is no answer at all."""
    return web.Response(text="<html>It works!</html>", content_type="text/html")


@asynccontextmanager
async def serving(fake: FakeProvider) -> AsyncIterator[FakeProvider]:
    """Serves a fake on a free port."""
    app = web.Application(middlewares=[fake.guard], client_max_size=64 * 1024 * 1024)
    app.add_routes(fake.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
