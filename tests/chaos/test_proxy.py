"""The fault proxy does what its tests of others rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.chaos.faults.proxy import FaultProxy, fault_proxy

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Peer]]


@pytest_asyncio.fixture(loop_scope="session")
async def proxy() -> AsyncIterator[FaultProxy]:
    """Before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, fault_proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", seed=1) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def connect(proxy: FaultProxy) -> AsyncIterator[Connect]:
    """Opens connections through the proxy."""
    peers: list[Peer] = []

    async def connect() -> Peer:
        host, _, port = proxy.address.rpartition(":")
        peers.append(await asyncio.open_connection(host, int(port)))
        return peers[-1]

    yield connect
    for _, writer in peers:
        writer.transport.abort()


async def echoed(peer: Peer, data: bytes, within_s: float = 5) -> bytes:
    peer[1].write(data)
    async with asyncio.timeout(within_s):
        return await peer[0].readexactly(len(data))


async def test_in_fair_weather_nothing_happens(connect: Connect) -> None:
    assert await echoed(await connect(), b"x" * 300_000) == b"x" * 300_000


async def test_a_reset_ends_connections_but_not_the_service(proxy: FaultProxy, connect: Connect) -> None:
    peer = await connect()
    await echoed(peer, b"1")
    assert proxy.reset() == 1
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await echoed(peer, b"2")
    assert await echoed(await connect(), b"3") == b"3"


async def test_a_partition_refuses_until_it_is_healed(proxy: FaultProxy, connect: Connect) -> None:
    proxy.partition()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await echoed(await connect(), b"1")
    proxy.heal()
    assert await echoed(await connect(), b"2") == b"2"


async def test_a_blackhole_keeps_what_goes_in(proxy: FaultProxy, connect: Connect) -> None:
    peer = await connect()
    proxy.blackhole("down")
    with pytest.raises(TimeoutError):
        await echoed(peer, b"late", within_s=0.2)
    proxy.heal()
    assert await peer[0].readexactly(4) == b"late"


async def test_a_half_open_connection_swallows_everything(proxy: FaultProxy, connect: Connect) -> None:
    peer = await connect()
    proxy.half_open("up")
    with pytest.raises(TimeoutError):
        await echoed(peer, b"lost", within_s=0.2)
    proxy.heal()
    assert await echoed(peer, b"next") == b"next"


async def test_a_delay_delays(proxy: FaultProxy, connect: Connect) -> None:
    peer = await connect()
    proxy.up.delay_s = 0.2
    with pytest.raises(TimeoutError):
        await echoed(peer, b"slow", within_s=0.1)
    assert await peer[0].readexactly(4) == b"slow"


async def test_bits_flip(proxy: FaultProxy, connect: Connect) -> None:
    peer = await connect()
    proxy.down.flip_every = 100
    answer = await echoed(peer, bytes(100))
    assert sum(byte.bit_count() for byte in answer) == 1


async def test_a_connection_is_cut_within_a_message(proxy: FaultProxy, connect: Connect) -> None:
    peer = await connect()
    proxy.down.cut_after = 5
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await echoed(peer, b"0123456789")
