"""Who may call, and that nobody can claim to be somebody else."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import KNOWN_ID

pytestmark = pytest.mark.integration

REFUSED_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(time.time()) - 120},
    "not yet valid": {"nbf": int(time.time()) + 600},
    "without expiry": {"exp": None},
    "lives ten years": {"exp": int(time.time()) + 10 * 365 * 86_400},
    "wrong issuer": {"iss": "https://evil.test"},
    "wrong audience": {"aud": "other"},
    "without audience": {"aud": None},
}


@pytest.mark.parametrize("claims", REFUSED_CLAIMS.values(), ids=REFUSED_CLAIMS.keys())
async def test_bad_claims_are_refused(gateway: Gateway, http: httpx.AsyncClient, claims: dict[str, Any]) -> None:
    response = await http.get("/v1/account", headers={"authorization": f"Bearer {gateway.token(**claims)}"})
    assert response.status_code in (401, 403)
    assert response.json()["code"] == "UNAUTHENTICATED"


async def test_other_keys_and_algorithms_are_refused(gateway: Gateway, http: httpx.AsyncClient) -> None:
    stranger = gateway.token(key=ec.generate_private_key(ec.SECP256R1()))
    symmetric = gateway.token(key="k" * 32, algorithm="HS256")
    stripped = gateway.token().rsplit(".", 1)[0] + "."
    for token in (stranger, symmetric, stripped, "garbage"):
        response = await http.get("/v1/account", headers={"authorization": f"Bearer {token}"})
        assert response.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/videos"),
        ("GET", "/v1/videos"),
        ("GET", f"/v1/videos/{KNOWN_ID}"),
        ("DELETE", f"/v1/videos/{KNOWN_ID}"),
        ("GET", f"/v1/videos/{KNOWN_ID}/stream"),
        ("GET", f"/v1/videos/{KNOWN_ID}/progress"),
        ("GET", f"/v1/videos/{KNOWN_ID}/webhook"),
        ("POST", f"/v1/videos/{KNOWN_ID}/webhook:replay"),
        ("GET", "/v1/webhooks"),
        ("GET", "/v1/webhooks/secret"),
        ("POST", "/v1/webhooks/secret:rotate"),
        ("GET", "/v1/workers"),
        ("GET", "/v1/workers/w1"),
        ("GET", "/v1/account"),
        ("POST", "/kinemesh.video.v1.VideoService/GetVideo"),
        ("POST", "/kinemesh.billing.v1.AccountService/GetAccount"),
        ("POST", "/kinemesh.scheduler.v1.WorkerService/ListWorkers"),
    ],
)
async def test_every_route_asks_for_a_token(http: httpx.AsyncClient, method: str, path: str) -> None:
    response = await http.request(method, path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "path",
    [
        "/kinemesh.orchestrator.v1.JobService/GetJob",
        "/kinemesh.billing.v1.BillingService/GrantCredits",
        "/kinemesh.scheduler.v1.SchedulerService/DrainWorker",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_internal_services_are_not_public(gateway: Gateway, http: httpx.AsyncClient, path: str) -> None:
    headers = {**gateway.headers(), "content-type": "application/grpc"}
    response = await http.post(path, headers=headers)
    # A gRPC client reads grpc-status: 12 is UNIMPLEMENTED.
    assert response.headers.get("grpc-status") == "12" or response.status_code == 404


async def test_the_callers_identity_comes_from_the_token_only(gateway: Gateway, http: httpx.AsyncClient) -> None:
    spoofed = {**gateway.headers("alice"), "x-user-id": "eve", "x-http-code": "200", "x-error-json": "{}"}
    await http.get(f"/v1/videos/{KNOWN_ID}", headers=spoofed)
    assert gateway.videos.metadata["x-user-id"] == "alice"
    assert "x-http-code" not in gateway.videos.metadata
    assert "x-error-json" not in gateway.videos.metadata


async def test_a_token_in_the_query_serves_streams_only(gateway: Gateway, http: httpx.AsyncClient) -> None:
    query = {"access_token": gateway.token()}
    refused = await http.get(f"/v1/videos/{KNOWN_ID}", params=query)
    assert refused.status_code == 401
    assert query["access_token"] not in str(refused.headers)
    async with http.stream("GET", f"/v1/videos/{KNOWN_ID}/stream", params=query) as stream:
        assert stream.status_code == 200
