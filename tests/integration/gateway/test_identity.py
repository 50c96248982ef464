"""Who may call, and that nobody can claim to be somebody else."""

from __future__ import annotations

import time

import httpx
import pytest

from kinemesh.billing.v1 import billing_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2
from kinemesh.video.v1 import video_service_pb2, webhook_service_pb2
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import KNOWN_ID
from tests.integration.gateway.test_openapi import PATHS

pytestmark = pytest.mark.integration

EVERY_ROUTE = [
    *((verb.upper(), path) for path, verbs in PATHS.items() for verb in verbs),
    ("GET", "/v1/videos/{request_id}/progress"),
    ("POST", "/v1/videos/{request_id}/progress/ticket"),
    ("GET", "/v1/nothing"),
    ("POST", "/openai/v1/videos"),
    ("GET", "/openai/v1/videos/{request_id}/content"),
    ("GET", "/openai/nothing"),
    *(
        ("POST", f"/{service.full_name}/{method.name}")
        for service in (
            video_service_pb2.DESCRIPTOR.services_by_name["VideoService"],
            webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
            billing_service_pb2.DESCRIPTOR.services_by_name["AccountService"],
            scheduler_service_pb2.DESCRIPTOR.services_by_name["WorkerService"],
        )
        for method in service.methods
    ),
]


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_every_route_asks_for_a_token(http: httpx.AsyncClient, method: str, path: str) -> None:
    response = await http.request(method, path.format(request_id=KNOWN_ID, worker_id="w1"))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    body = response.json()
    assert body.get("code") == "UNAUTHENTICATED" or body["error"]["code"] == "invalid_api_key"


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


SPOOFED = {
    "x-user-id": "eve",
    "x-tenant-id": "eve",
    "x-token-expires-at": "99999999999",
    "x-http-code": "200",
    "x-http-status": "200",
    "x-error-json": "{}",
    "x-envoy-original-path": "/v1/account",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-retry-on": "5xx",
    "x-envoy-max-retries": "9",
    "x-envoy-internal": "true",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-proto": "https",
}


async def test_the_callers_identity_comes_from_the_token_only(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get(f"/v1/videos/{KNOWN_ID}", headers={**gateway.headers("alice"), **SPOOFED})
    assert response.status_code == 200
    seen = gateway.videos.metadata
    assert seen["x-user-id"] == "alice"
    assert int(seen["x-token-expires-at"]) < time.time() + 3600
    assert not {"x-http-code", "x-error-json"} & set(seen)
    assert not {"x-envoy-upstream-rq-timeout-ms", "x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-internal"} & set(
        seen
    )
    assert seen["x-envoy-original-path"] == f"/v1/videos/{KNOWN_ID}"
    # What a client says of its way here may stay in the list, but the last entry is Envoy's own.
    assert "10.0.0.1" not in {seen["x-envoy-external-address"], seen["x-forwarded-for"].rpartition(",")[2]}


async def test_spoofed_headers_open_no_route_without_a_token(http: httpx.AsyncClient) -> None:
    for path in ("/v1/account", f"/v1/videos/{KNOWN_ID}", f"/v1/videos/{KNOWN_ID}/progress", "/openai/v1/videos"):
        assert (await http.get(path, headers=SPOOFED)).status_code == 401


async def test_the_edge_app_is_told_who_calls_by_envoy_only(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get(f"/openai/v1/videos/{KNOWN_ID}", headers={**gateway.headers("alice"), **SPOOFED})
    assert response.status_code == 200
    assert gateway.videos.metadata["x-user-id"] == "alice"
