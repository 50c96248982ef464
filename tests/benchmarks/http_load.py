"""A client that asks over and over on a few connections, and costs little itself."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Sample:
    """What was asked and answered."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    """Answers of another status than expected, and connections that broke."""

    @property
    def per_s(self) -> float:
        """Good answers in a second."""
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Asking:
    """What to ask for, and for how long."""

    url: str
    make_request: Callable[[int], bytes]
    """The whole request in HTTP/1.1, by its number."""
    expected: int
    at_once: int
    seconds: float


async def ask(asking: Asking) -> Sample:
    """Asks on each connection one request after the other."""
    sample, until = Sample(), time.monotonic() + asking.seconds
    started = time.monotonic()
    await asyncio.gather(*(_ask_on_one(asking, sample, first, until) for first in range(asking.at_once)))
    sample.seconds = time.monotonic() - started
    return sample


def request(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request in HTTP/1.1."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode() + body


async def _ask_on_one(asking: Asking, sample: Sample, first: int, until: float) -> None:
    parts = urlsplit(asking.url)
    number = first
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            while time.monotonic() < until:
                asked_at = time.monotonic()
                writer.write(asking.make_request(number))
                number += asking.at_once
                if await _status(reader) == asking.expected:
                    sample.latencies_s.append(time.monotonic() - asked_at)
                else:
                    sample.failed += 1
        except (OSError, asyncio.IncompleteReadError):
            sample.failed += 1
        finally:
            writer.close()


async def _status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    if (length := _LENGTH.search(head)) is not None:
        await reader.readexactly(int(length[1]))
    return int(head[9:12])
