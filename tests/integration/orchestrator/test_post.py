"""One attempt to deliver a webhook, to servers that do everything a server should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.common.addresses import UrlGuard
from services.orchestrator.webhooks.post import Answer, Poster

pytestmark = pytest.mark.integration

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()


def saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.transport.abort()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte at a time, for longer than anybody waits."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Drip: 1\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def post(url: str, timeout_s: float = 1.0) -> Answer:
    return await Poster(UrlGuard(allow_private=True), timeout_s).post(url, {"webhook-id": "1"}, b"{}")


@pytest.mark.parametrize(
    "serve",
    [
        resets,
        drips,
        saying(b""),
        saying(b"hello\r\n\r\n"),
        saying(b"HTTP/1.1 2"),
        saying(b"\x15\x03\x01\x00\x02\x02\x28"),
    ],
    ids=["resets", "drips", "says nothing", "says nonsense", "stops early", "speaks TLS"],
)
async def test_a_server_that_misbehaves_has_not_received_it(serve: Serve) -> None:
    async with serving(serve) as url:
        answer = await post(url)
    assert not answer.delivered
    assert answer.result


async def test_an_endless_answer_is_not_read() -> None:
    async with serving(never_ends) as url:
        assert (await post(url, timeout_s=10)).delivered


async def test_a_redirect_is_not_followed() -> None:
    asked: list[Any] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(_OK)

    async with serving(note) as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(saying(moved)) as url:
            answer = await post(url)
    assert (answer.result, answer.delivered, asked) == ("307", False, [])


async def test_a_server_asks_for_time() -> None:
    slow_down = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(slow_down)) as url:
        assert await post(url) == Answer("429", 120)


async def test_an_address_that_became_private_is_not_called() -> None:
    """It was public when it was submitted: a name may change its address at any time."""

    async def lookup(host: str, port: int) -> list[str]:
        return ["203.0.113.7", "127.0.0.1"]

    asked: list[Any] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)

    async with serving(note) as url:
        port = url.rpartition(":")[2]
        guard = UrlGuard(allow_private=False, lookup=lookup)
        answer = await Poster(guard, 1.0).post(f"https://rebinds.example:{port}", {}, b"{}")
    assert (answer.result, asked) == ("address refused", [])
