"""Fetching from a user's server, which may do anything. It is on loopback, which has to be allowed first."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from services.common.addresses import UrlGuard
from services.encoder.reference.fetch import Fetcher, FetchError, FetchLimits

pytestmark = pytest.mark.integration

CONTENT = b"not really a video" * 1000
LIMITS = FetchLimits(max_bytes=2**20, timeout_s=5)


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A server that tells the truth at /, and misbehaves elsewhere."""
    app = web.Application()
    app.add_routes([web.get(f"/{answer.__name__.removeprefix('_')}", answer) for answer in _ANSWERS])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _video(_: web.Request) -> web.StreamResponse:
    return web.Response(body=CONTENT, content_type="text/html")


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(65536))


async def _dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.05)


async def _boasting(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(10 * 2**30)})
    await response.prepare(request)
    return response


async def _breaking_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x" * 10)
    if request.transport is not None:
        request.transport.close()
    return response


async def _packed(_: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(bytes(2**20)), headers={"Content-Encoding": "gzip"})


async def _hop(request: web.Request) -> web.StreamResponse:
    left = int(request.query["left"])
    raise web.HTTPFound(f"hop?left={left - 1}" if left else "/video")


async def _away(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect(request.query["to"])


async def _status(request: web.Request) -> web.StreamResponse:
    return web.Response(status=int(request.query["is"]))


_ANSWERS = (_video, _endless, _dripping, _boasting, _breaking_off, _packed, _hop, _away, _status)


async def fetch(url: str, target: Path, limits: FetchLimits = LIMITS) -> None:
    await Fetcher(UrlGuard(allow_private=True), limits).fetch(url, target)


async def refused(url: str, target: Path, limits: FetchLimits = LIMITS) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await fetch(url, target, limits)
    return caught.value


async def test_a_file_is_fetched_whatever_type_it_claims(tmp_path: Path) -> None:
    async with serving() as base:
        await fetch(f"{base}/video", tmp_path / "a")
        await fetch(f"{base}/hop?left=2", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "text", "permanent"),
    [
        ("endless", "larger than 1 MiB", True),
        ("boasting", "larger than 1 MiB", True),
        ("packed", "compressed", True),
        ("hop?left=3", "redirects too often", True),
        ("status?is=404", "answers 404", True),
        ("status?is=403", "answers 403", True),
        ("status?is=503", "answers 503", False),
        ("status?is=429", "answers 429", False),
        ("breaking_off", "could not be read", False),
        ("away?to=file:///etc/passwd", "must be an https URL", True),
        ("away?to=https://user@host.example/", "must be an https URL", True),
        ("away?to=http://127.0.0.1:22/", "must be an https URL", True),
    ],
)
async def test_what_is_no_answer(tmp_path: Path, path: str, text: str, permanent: bool) -> None:
    async with serving() as base:
        error = await refused(f"{base}/{path}", tmp_path / "a")
    assert text in str(error)
    assert error.permanent is permanent


async def test_a_slow_one_is_given_up(tmp_path: Path) -> None:
    async with serving() as base:
        error = await refused(f"{base}/dripping", tmp_path / "a", FetchLimits(2**20, timeout_s=0.3))
    assert (str(error), error.permanent) == ("it did not come in time", True)


async def test_loopback_is_refused_at_once_and_after_a_redirect(tmp_path: Path) -> None:
    """The first address counts as public here, and is pinned; the second is what it is."""
    asked: list[str] = []

    class Guard(UrlGuard):
        async def addresses(self, url: str) -> list[str]:
            asked.append(url)
            return ["127.0.0.1"] if len(asked) == 1 else await UrlGuard(allow_private=False).addresses(url)

    async with serving() as base:
        with pytest.raises(FetchError, match="must be an https URL"):
            await Fetcher(UrlGuard(allow_private=False), LIMITS).fetch(base, tmp_path / "a")
        first = f"{base}/away?to=https://127.0.0.1/video"
        with pytest.raises(FetchError, match="must lead to a public address") as caught:
            await Fetcher(Guard(allow_private=False), LIMITS).fetch(first, tmp_path / "a")
    assert caught.value.permanent
    assert asked == [first, "https://127.0.0.1/video"]
