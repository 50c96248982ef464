"""REST through the transcoder: the status codes and bodies that the design writes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.integration.gateway.conftest import MAX_BODY_BYTES, REQUESTS_PER_MINUTE, Gateway
from tests.integration.gateway.services import KNOWN_ID

pytestmark = pytest.mark.integration


async def test_create_answers_202_and_hands_over_the_json_unread(gateway: Gateway, http: httpx.AsyncClient) -> None:
    body = b'{"prompt": "x", "no_such_field": 1}'
    key = "7F3DD0A1-0000-4000-8000-00000000000a"
    headers = {**gateway.headers(), "x-request-id": key, "content-type": "application/json"}
    response = await http.post("/v1/videos", content=body, headers=headers)
    assert response.status_code == 202
    assert response.json() == {
        "request_id": KNOWN_ID,
        "status": "PENDING",
        "estimated_time_seconds": 45,
        "progress_url": "",
    }
    assert gateway.videos.body == body
    assert gateway.videos.metadata["x-request-id"] == response.headers["x-request-id"] == key


@pytest.mark.parametrize(
    ("prompt", "status", "code"),
    [
        ("invalid", 400, "INVALID_FIELD"),
        ("poor", 402, "INSUFFICIENT_CREDITS"),
        ("reused", 409, "IDEMPOTENCY_KEY_REUSED"),
        ("large", 413, "PAYLOAD_TOO_LARGE"),
        ("many", 429, "RATE_LIMITED"),
        ("blocked", 451, "CONTENT_BLOCKED"),
        ("broken", 500, "INTERNAL"),
        ("down", 503, "DEPENDENCY_UNAVAILABLE"),
    ],
)
async def test_refusals(gateway: Gateway, http: httpx.AsyncClient, prompt: str, status: int, code: str) -> None:
    response = await http.post("/v1/videos", json={"prompt": prompt}, headers=gateway.headers())
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error", "reason", "code", "request_id"}
    assert body["code"] == code
    assert body["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert not {"x-http-code", "x-error-json"} & set(response.headers)


async def test_the_services_own_retry_after_reaches_the_client(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/videos", json={"prompt": "many"}, headers=gateway.headers())
    assert response.headers["retry-after"] == "7"


async def test_get_writes_numbers_as_numbers(gateway: Gateway, http: httpx.AsyncClient) -> None:
    body = (await http.get(f"/v1/videos/{KNOWN_ID}", headers=gateway.headers())).json()
    assert body["output"]["file_size_bytes"] == 52_428_800
    assert body["generation_time_ms"] == 45_000
    assert body["credits_used"] == 2.0
    assert "progress" not in body


async def test_cancel_of_a_finished_video(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.delete(f"/v1/videos/{KNOWN_ID}", headers=gateway.headers())
    assert response.status_code == 409
    body = response.json()
    assert (body["error"], body["reason"], body["status"]) == ("Cannot cancel", "Video already completed", "COMPLETED")


async def test_list_takes_the_query(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/videos?limit=20&offset=40&status=COMPLETED", headers=gateway.headers())
    assert response.json() == {"videos": [], "total": 156, "limit": 20, "offset": 40, "next_page_token": ""}


@pytest.mark.parametrize("query", ["limt=3", "limit=x", "limit=99999999999"])
async def test_a_wrong_query_is_named(gateway: Gateway, http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"/v1/videos?{query}", headers=gateway.headers())
    assert response.status_code == 400
    assert response.json()["code"] == "INVALID_FIELD"


async def test_other_public_services(gateway: Gateway, http: httpx.AsyncClient) -> None:
    workers = await http.get("/v1/workers", headers=gateway.headers())
    account = await http.get("/v1/account", headers=gateway.headers("bob"))
    assert workers.json()["workers"][0]["worker_id"] == "w1"
    assert account.json() == {"user_id": "bob", "available_credits": 1.5, "held_credits": 0, "spent_credits": 0}


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/videos/a/b", "/v1/videos/%2e%2e%2fx"])
async def test_unknown_paths_reach_no_service(gateway: Gateway, http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path, headers=gateway.headers())
    assert response.status_code in (400, 404)
    assert {"error", "code", "request_id"} <= set(response.json())


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/videos", "GET, POST"),
        ("TRACE", f"/v1/videos/{KNOWN_ID}", "DELETE, GET"),
        ("PATCH", f"/v1/videos/{KNOWN_ID}/stream", "GET"),
        ("POST", f"/v1/videos/{KNOWN_ID}/progress", "GET"),
        ("GET", "/v1/webhooks/secret:rotate", "POST"),
    ],
)
async def test_a_wrong_method_is_405_and_told_the_right_ones(
    gateway: Gateway, http: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    response = await http.request(method, path, headers=gateway.headers())
    assert (response.status_code, response.headers["allow"]) == (405, allow)
    assert response.json()["code"] == "ROUTE_NOT_FOUND"


async def test_methods_that_nobody_knows_are_405_too(gateway: Gateway, http: httpx.AsyncClient) -> None:
    headers = {**gateway.headers(), "content-type": "application/json"}
    assert [(await http.request(method, "/v1/account", headers=headers)).status_code for method in ("QUERY", "X")] == [
        405,
        405,
    ]
    # By RFC 10008, which Envoy knows, a QUERY must say what it asks in.
    assert (await http.request("QUERY", "/v1/account", headers=gateway.headers())).status_code == 400


async def test_headers_that_grpc_refuses_do_no_harm(gateway: Gateway, http: httpx.AsyncClient) -> None:
    odd = [(b"x-odd%name", b"1"), (b"x-data-bin", b"not base64!"), (b"x-umlaut", b"\xc3\xa4"), (b"x-good", b"good")]
    headers = [*((name.encode(), value.encode()) for name, value in gateway.headers().items()), *odd]
    response = await http.get(f"/v1/videos/{KNOWN_ID}", headers=headers)
    assert response.status_code == 200
    assert gateway.videos.metadata["x-good"] == "good"
    assert not {"x-odd%name", "x-data-bin", "x-umlaut"} & set(gateway.videos.metadata)


async def test_webhooks_are_shown_and_replayed_and_their_secret_rotated(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    headers = gateway.headers()
    shown = await http.get(f"/v1/videos/{KNOWN_ID}/webhook", headers=headers)
    assert shown.json()["attempts"][0]["result"] == "500"
    replayed = await http.post(f"/v1/videos/{KNOWN_ID}/webhook:replay", headers=headers)
    assert replayed.json()["webhook"]["request_id"] == KNOWN_ID
    rotated = await http.post("/v1/webhooks/secret:rotate", params={"overlap_seconds": 60}, headers=headers)
    assert rotated.json()["webhook_secret"] == "after 60 s"


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1024


@pytest.mark.parametrize("told", [True, False], ids=["told beforehand", "in chunks"])
async def test_a_body_over_the_limit_is_413(gateway: Gateway, http: httpx.AsyncClient, told: bool) -> None:
    body = b" " * (MAX_BODY_BYTES + 1) if told else _chunks(MAX_BODY_BYTES // 1024 + 1)
    response = await http.post("/v1/videos", content=body, headers=gateway.headers())
    assert response.status_code == 413
    assert response.json()["code"] == "PAYLOAD_TOO_LARGE"
    assert response.headers["content-type"] == "application/json"


async def test_headers_over_the_limit_are_431(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/videos", headers={**gateway.headers(), "x-long": "x" * 9000})
    assert response.status_code == 431


async def test_a_user_over_the_rate_waits_alone(gateway: Gateway, http: httpx.AsyncClient) -> None:
    headers = gateway.headers("greedy")
    # The bucket refills while we ask, so the limit is reached some requests later.
    for _ in range(2 * REQUESTS_PER_MINUTE):
        refused = await http.get("/v1/account", headers=headers)
        if refused.status_code != 200:
            break
    assert refused.status_code == 429
    assert refused.json()["code"] == "RATE_LIMITED"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await http.get("/v1/account", headers=gateway.headers("patient"))).status_code == 200


async def test_cors_admits_only_listed_origins(http: httpx.AsyncClient) -> None:
    ask = {"access-control-request-method": "POST"}
    good = await http.options("/v1/videos", headers={**ask, "origin": "https://app.test"})
    evil = await http.options("/v1/videos", headers={**ask, "origin": "https://evil.test"})
    assert good.headers["access-control-allow-origin"] == "https://app.test"
    assert "access-control-allow-origin" not in evil.headers


async def test_the_studio_needs_no_token_and_may_do_no_more_than_it_must(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert page.status_code == 200
    assert "Kinemesh Studio" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    script = await http.get("/studio.js")
    assert script.headers["content-type"].startswith("text/javascript")
    again = await http.get("/studio.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
