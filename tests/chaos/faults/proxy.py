"""A TCP proxy between any two processes that does to their traffic what networks do."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["up", "down"]
"""`up` is from the client to the server."""
_CHUNK = 65536


@dataclass
class Weather:
    """What happens to bytes of one direction."""

    held: bool = False
    """Blackhole: they wait, and arrive when it is over."""
    dropped: bool = False
    """Half-open: they vanish, and the connection seems to stand."""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    flip_every: int = 0
    """One bit in about so many bytes is flipped."""
    cut_after: int | None = None
    """The connection is reset after so many more bytes."""


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def reset(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)


@dataclass
class FaultProxy:
    """Forwards to one server; in fair weather nobody can tell."""

    host: str
    port: int
    seed: int = 0
    refusing: bool = False
    """New connections are reset."""
    up: Weather = field(default_factory=Weather)
    down: Weather = field(default_factory=Weather)
    address: str = ""
    """host:port to connect to instead of the server's."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._connections: set[_Connection] = set()
        self._changed = asyncio.Event()

    def reset(self) -> int:
        """Resets all open connections; returns how many there were."""
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        return len(connections)

    def partition(self) -> None:
        """Resets all connections and refuses new ones."""
        self.refusing = True
        self.reset()

    def blackhole(self, *directions: Direction) -> None:
        """Holds back all bytes, of both directions unless one is named."""
        for direction in directions or ("up", "down"):
            self._weather(direction).held = True

    def half_open(self, *directions: Direction) -> None:
        """Swallows all bytes, of both directions unless one is named."""
        for direction in directions or ("up", "down"):
            self._weather(direction).dropped = True

    def heal(self) -> None:
        """Fair weather again; what was held back arrives."""
        self.refusing = False
        self.up, self.down = Weather(), Weather()
        self._changed.set()
        self._changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one connection."""
        if self.refusing:
            _reset(writer)
            return
        try:
            from_server, to_server = await asyncio.open_connection(self.host, self.port)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pump(reader, to_server, "up", connection), self._pump(from_server, writer, "down", connection)
            )
        except OSError:
            connection.reset()
        finally:
            self._connections.discard(connection)
            for each in (writer, to_server):
                each.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction, connection: _Connection
    ) -> None:
        while data := await reader.read(_CHUNK):
            while self._weather(direction).held:
                await self._changed.wait()
            weather = self._weather(direction)
            if weather.dropped:
                continue
            if weather.delay_s or weather.jitter_s:
                await asyncio.sleep(weather.delay_s + self._random.uniform(0, weather.jitter_s))
            if weather.cut_after is not None:
                data, rest = data[: weather.cut_after], data[weather.cut_after :]
                weather.cut_after -= len(data)
                if rest or not weather.cut_after:
                    writer.write(data)
                    await writer.drain()
                    connection.reset()
                    return
            writer.write(self._flipped(data, weather.flip_every))
            await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    def _flipped(self, data: bytes, every: int) -> bytes:
        if not every or self._random.random() >= len(data) / every:
            return data
        damaged = bytearray(data)
        damaged[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(damaged)

    def _weather(self, direction: Direction) -> Weather:
        return self.up if direction == "up" else self.down


@asynccontextmanager
async def fault_proxy(address: str, seed: int = 0) -> AsyncIterator[FaultProxy]:
    """Runs a proxy before host:port on a free port."""
    host, _, port = address.rpartition(":")
    proxy = FaultProxy(host, int(port), seed)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.heal()
        proxy.reset()
        await server.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN."""
    end = writer.get_extra_info("socket")
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
