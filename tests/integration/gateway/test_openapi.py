"""The served OpenAPI document, held against the gateway."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.openapi import DOCUMENT
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import KNOWN_ID

pytestmark = pytest.mark.integration

PATHS: dict[str, dict[str, Any]] = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
ROUTES = [(verb, path) for path, verbs in PATHS.items() for verb in verbs]


async def test_it_is_served_without_a_token(http: httpx.AsyncClient) -> None:
    response = await http.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.content == DOCUMENT.read_bytes()


@pytest.mark.parametrize(("verb", "path"), ROUTES)
async def test_every_documented_route_is_there_and_asks_for_a_token(
    gateway: Gateway, http: httpx.AsyncClient, verb: str, path: str
) -> None:
    url = path.format(request_id=KNOWN_ID, worker_id="w1")
    assert (await http.request(verb, url)).status_code == 401
    if "text/event-stream" in str(PATHS[path][verb]["responses"]):
        return
    body = {"prompt": "x"} if "requestBody" in PATHS[path][verb] else None
    answer = await http.request(verb, url, headers=gateway.headers("reader"), json=body)
    assert str(answer.status_code) in PATHS[path][verb]["responses"]
    assert answer.json().get("code") != "ROUTE_NOT_FOUND"
