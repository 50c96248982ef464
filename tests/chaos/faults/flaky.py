"""Clients whose calls fail now and then: before they are executed, or after, when nobody can tell.

Each wraps what a service opens (`open_channel`, `open_pool`, `open_object_store`), for a service that a test runs in
its own process: `monkeypatch.setattr(app, "open_pool", flaky_pools(mishaps))`.
"""

from __future__ import annotations

import inspect
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import grpc

from services.common.errors import Unavailable
from services.common.postgres import open_pool
from services.common.rpc.client import open_channel
from services.common.storage import open_object_store

T = TypeVar("T")
Open = Callable[..., AbstractAsyncContextManager[Any]]


class Mishaps:
    """Decides, by a seed, which calls fail and how; `counts` says what happened."""

    def __init__(self, seed: int, *, before: float = 0.02, after: float = 0.03, serialization: float = 0.0) -> None:
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._shares = {"before": before, "after": after, "serialization": serialization}

    def happens(self, kind: str) -> bool:
        """Whether it happens now."""
        happens = self._random.random() < self._shares[kind]
        self.counts[kind] += happens
        return happens

    async def around(self, call: Callable[[], Awaitable[T]], failure: Callable[[], Exception]) -> T:
        """Awaits the call, or fails before it or after it."""
        if self.happens("before"):
            raise failure()
        result = await call()
        if self.happens("after"):
            raise failure()
        return result


def flaky_channels(mishaps: Mishaps) -> Open:
    """An `open_channel` whose unary calls fail with UNAVAILABLE."""

    @asynccontextmanager
    async def opened(target: str, **options: Any) -> AsyncIterator[_FlakyChannel]:
        async with open_channel(target, **options) as channel:
            yield _FlakyChannel(channel, mishaps)

    return opened


def flaky_pools(mishaps: Mishaps) -> Open:
    """An `open_pool` whose statements lose their connection, and whose transactions lose races and commits' answers."""

    @asynccontextmanager
    async def opened(*arguments: Any, **options: Any) -> AsyncIterator[_FlakyPool]:
        async with open_pool(*arguments, **options) as pool:
            yield _FlakyPool(pool, mishaps)

    return opened


def flaky_stores(mishaps: Mishaps) -> Open:
    """An `open_object_store` that is out of order now and then."""

    @asynccontextmanager
    async def opened(*arguments: Any, **options: Any) -> AsyncIterator[_FlakyStore]:
        async with open_object_store(*arguments, **options) as store:
            yield _FlakyStore(store, mishaps)

    return opened


class _Wrapper:
    """Hands on what it does not change."""

    def __init__(self, inner: Any, mishaps: Mishaps) -> None:
        self._inner = inner
        self._mishaps = mishaps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _flaky(self, function: Any, failure: Callable[[], Exception]) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._mishaps.around(lambda: function(*arguments, **options), failure)

        return call


class _FlakyChannel(_Wrapper):
    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        return self._flaky(self._inner.unary_unary(*arguments, **options), _unavailable)


class _FlakyStore(_Wrapper):
    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._flaky(value, _store_down) if inspect.iscoroutinefunction(value) else value


class _FlakyPool(_Wrapper):
    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._flaky(value, _lost) if name in {"execute", "fetch", "fetchrow", "fetchval"} else value

    @asynccontextmanager
    async def acquire(self, **options: Any) -> AsyncIterator[_FlakyConnection]:
        async with self._inner.acquire(**options) as connection:
            yield _FlakyConnection(connection, self._mishaps)


class _FlakyConnection(_Wrapper):
    @asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[None]:
        async with self._inner.transaction(**options):
            yield
            # Raised inside, so that the transaction is rolled back.
            if self._mishaps.happens("serialization"):
                raise asyncpg.SerializationError("could not serialize access, says the test")
            if self._mishaps.happens("before"):
                raise _lost()
        if self._mishaps.happens("after"):
            raise _lost()


def _unavailable() -> Exception:
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "the test's mishap")


def _lost() -> Exception:
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation, says the test")


def _store_down() -> Exception:
    return Unavailable("DEPENDENCY_UNAVAILABLE", "the object store cannot do this right now, says the test")
