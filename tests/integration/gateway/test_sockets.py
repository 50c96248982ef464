"""WebSockets that browsers open with a ticket, that outlive their token, or whose client does not read."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from urllib.parse import urlsplit

import httpx
import pytest
import websockets

from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import FLOOD_ID, KNOWN_ID, STEADY_ID

pytestmark = pytest.mark.integration

DEADLINE_S = 20.0


def _url(gateway: Gateway, request_id: str, ticket: str = "") -> str:
    query = f"?ticket={ticket}" if ticket else ""
    return f"{gateway.url.replace('http', 'ws', 1)}/v1/videos/{request_id}/progress{query}"


async def _ticket(http: httpx.AsyncClient, headers: dict[str, str], request_id: str = KNOWN_ID) -> str:
    response = await http.post(f"/v1/videos/{request_id}/progress/ticket", headers=headers)
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["expires_in_seconds"] == 60
    return str(response.json()["ticket"])


async def _refused(url: str) -> int:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url)
    assert json.loads(refused.value.response.body)["code"] == "UNAUTHENTICATED"
    return refused.value.response.status_code


async def test_a_ticket_opens_one_socket(gateway: Gateway, http: httpx.AsyncClient) -> None:
    ticket = await _ticket(http, gateway.headers("browser"))
    async with websockets.connect(_url(gateway, KNOWN_ID, ticket)) as socket:
        messages = [json.loads(message) async for message in socket]
    assert [message["type"] for message in messages] == ["progress", "completed"]
    assert gateway.videos.metadata["x-user-id"] == "browser"
    assert await _refused(_url(gateway, KNOWN_ID, ticket)) == 401


async def test_a_ticket_is_for_one_video_and_cannot_be_made_up(gateway: Gateway, http: httpx.AsyncClient) -> None:
    ticket = await _ticket(http, gateway.headers())
    assert await _refused(_url(gateway, STEADY_ID, ticket)) == 401
    assert await _refused(_url(gateway, KNOWN_ID, "made-up")) == 401
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(_url(gateway, KNOWN_ID, "made-up"), additional_headers={"x-user-id": "alice"})
    assert (await http.post(f"/v1/videos/{KNOWN_ID}/progress/ticket")).status_code == 401


async def test_without_an_upgrade_it_is_426(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get(f"/v1/videos/{KNOWN_ID}/progress", headers=gateway.headers())
    assert response.status_code == 426
    assert response.json()["code"] == "UPGRADE_REQUIRED"


@pytest.mark.parametrize("by_ticket", [False, True])
async def test_a_socket_ends_with_its_token(gateway: Gateway, http: httpx.AsyncClient, by_ticket: bool) -> None:
    expires_at = int(time.time()) + 3
    headers = {"authorization": f"Bearer {gateway.token(exp=expires_at)}", "x-token-expires-at": "99999999999"}
    ticket = await _ticket(http, headers, STEADY_ID) if by_ticket else ""
    opening = websockets.connect(_url(gateway, STEADY_ID, ticket), additional_headers={} if by_ticket else headers)
    async with asyncio.timeout(DEADLINE_S), opening as socket:
        assert json.loads(await socket.recv())["type"] == "progress"
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (1008, "the token has expired")
    assert time.time() >= expires_at


async def test_a_client_that_does_not_read_is_dropped_alone(gateway: Gateway) -> None:
    parts = urlsplit(gateway.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
    lines = {
        "Host": parts.netloc,
        "Authorization": f"Bearer {gateway.token()}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    async with websockets.connect(_url(gateway, STEADY_ID), additional_headers=gateway.headers()) as other:
        writer.write(f"GET /v1/videos/{FLOOD_ID}/progress HTTP/1.1\r\n{head}\r\n".encode())
        await asyncio.wait_for(gateway.videos.flood_ended.wait(), DEADLINE_S)
        assert json.loads(await other.recv())["type"] == "progress"
        await asyncio.wait_for(await other.ping(), DEADLINE_S)
    writer.close()
    assert gateway.videos.flooded > 1
