"""The debug listener, and what the access log keeps."""

from __future__ import annotations

import asyncio
import time

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.cli.doctor.mesh import check_gateway
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import KNOWN_ID

pytestmark = pytest.mark.integration

DEADLINE_S = 10.0


async def test_the_debug_listener_reaches_health_of_a_named_service(gateway: Gateway) -> None:
    async with grpc.aio.insecure_channel(gateway.debug_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        request = health_pb2.HealthCheckRequest(service="kinemesh.billing.v1.AccountService")
        answer = await health.Check(request, metadata=(("x-service", "billing"),), timeout=DEADLINE_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_access_log_keeps_no_token(gateway: Gateway, http: httpx.AsyncClient) -> None:
    token = gateway.token("logged")
    request_id = "0b5a3ad4-9a41-4bd5-9bd5-4a1cf7a4c111"
    await http.get(f"/v1/videos/{KNOWN_ID}", params={"access_token": token}, headers={"x-request-id": request_id})
    deadline = time.monotonic() + 20  # Envoy writes its log every 10 s
    while request_id not in (text := gateway.log.read_text()):
        assert time.monotonic() < deadline, "the request never appeared in the access log"
        await asyncio.sleep(0.1)
    assert token not in text


async def test_the_doctor_asks_the_gateway(gateway: Gateway) -> None:
    answered = await asyncio.to_thread(lambda: list(check_gateway(gateway.url, gateway.token())))
    assert [(finding.check, finding.verdict) for finding in answered] == [("clock", "ok"), ("gateway", "ok")]
    refused = await asyncio.to_thread(lambda: list(check_gateway(gateway.url, "no token")))
    assert [(finding.check, finding.verdict) for finding in refused] == [("clock", "ok"), ("gateway", "fault")]
