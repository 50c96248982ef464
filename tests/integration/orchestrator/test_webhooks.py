"""Webhooks: signed, repeated until received, never into the private network, one id for all attempts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from services.orchestrator.settings import Settings
from services.orchestrator.webhooks.secrets import WebhookSecrets, key_of
from tests.integration.orchestrator.driver import Driver
from tests.integration.orchestrator.receiver import Receiver, receiving
from tests.support.waiting import eventually

KEY = b"k" * 32
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@pytest.fixture(scope="module")
def overrides() -> dict[str, Any]:
    return {"webhook_allow_private": True, "webhook_retry_delays_s": (0.1, 0.1), "webhook_timeout_s": 0.5}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def test_completion_is_told_with_fresh_addresses_and_a_valid_signature(
    driver: Driver, receiver: Receiver
) -> None:
    job = await driver.completed("hook", webhook_url=f"{receiver.url}/done", webhook_secret=SECRET)
    await eventually(lambda: _received(receiver, "/done"))
    headers, body = receiver.got["/done"][0]
    told = json.loads(body)
    assert list(told) == ["event", "request_id", "status", "output", "timestamp"]
    assert (told["event"], told["status"]) == ("video.completed", "COMPLETED")
    assert told["request_id"] == job.request.request_id
    assert "X-Amz-Signature=" in told["output"]["video_url"]
    _verify(KEY, headers, body)
    assert headers["Content-Type"] == "application/json"
    await eventually(lambda: _has_state(driver, job, "DELIVERED"))


async def test_failures_are_told_signed_with_the_installation_s_secret(
    driver: Driver, receiver: Receiver, settings: Settings
) -> None:
    job = await driver.generating("own secret", webhook_url=f"{receiver.url}/failed")
    await driver.jobs.FailJob(
        pb.FailJobRequest(request_id=job.request.request_id, epoch=job.epoch, code="MEDIA_FAILED", message="broken")
    )
    await eventually(lambda: _received(receiver, "/failed"))
    headers, body = receiver.got["/failed"][0]
    assert json.loads(body)["error"] == {"code": "MEDIA_FAILED", "message": "broken"}
    secrets = WebhookSecrets(settings.webhook_master_secret.get_secret_value())
    _verify(key_of(secrets.derived("own secret")[0]), headers, body)


@pytest.mark.parametrize("status", [500, 301, 429])
async def test_a_refused_webhook_is_repeated_under_the_same_id(driver: Driver, receiver: Receiver, status: int) -> None:
    path = f"/refuses-{status}"
    receiver.answers[path] = [status]
    receiver.headers[path] = {"Location": f"{receiver.url}/elsewhere"}
    job = await _blocked(driver, f"{receiver.url}{path}")
    await eventually(lambda: _has_state(driver, job, "DELIVERED"))
    ids = [headers["webhook-id"] for headers, _ in receiver.got[path]]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert "/elsewhere" not in receiver.got


async def test_a_hanging_receiver_is_given_up_after_the_schedule(driver: Driver, receiver: Receiver) -> None:
    receiver.gate("/hangs")
    job = await _blocked(driver, f"{receiver.url}/hangs")
    await eventually(lambda: _has_state(driver, job, "GIVEN_UP"))
    assert len(receiver.got["/hangs"]) == 3


async def test_a_secret_of_an_earlier_master_secret_ends_the_delivery(driver: Driver, receiver: Receiver) -> None:
    request_id = await driver.create("rotated", webhook_url=f"{receiver.url}/rotated", webhook_secret=SECRET)
    foreign = WebhookSecrets(base64.b64encode(b"x" * 32).decode()).encrypt(SECRET)
    await driver.database.execute(
        "UPDATE video_generations SET webhook_secret = $2 WHERE request_id = $1", uuid.UUID(request_id), foreign
    )
    job = await driver.claim(pb.STAGE_ENCODING, request_id)
    await driver.jobs.BlockJob(pb.BlockJobRequest(request_id=request_id, epoch=job.epoch, reason="no", score=0.9))
    await eventually(lambda: _has_state(driver, job, "GIVEN_UP"))
    assert "/rotated" not in receiver.got


async def test_cancellation_is_not_told(driver: Driver, receiver: Receiver) -> None:
    request_id = await driver.create("cancels", webhook_url=f"{receiver.url}/cancelled")
    await driver.cancel("cancels", request_id)
    count = "SELECT count(*) FROM webhook_deliveries WHERE request_id = $1"
    assert await driver.database.fetchval(count, uuid.UUID(request_id)) == 0


async def test_secrets_are_encrypted_at_rest(driver: Driver, receiver: Receiver) -> None:
    request_id = await driver.create("secrets", webhook_url=f"{receiver.url}/x", webhook_secret=SECRET)
    stored = await driver.database.fetchval(
        "SELECT webhook_secret FROM video_generations WHERE request_id = $1", uuid.UUID(request_id)
    )
    assert stored
    assert SECRET.encode() not in stored
    assert KEY not in stored


async def _blocked(driver: Driver, url: str) -> pb.Job:
    request_id = await driver.create("blocked", webhook_url=url)
    job = await driver.claim(pb.STAGE_ENCODING, request_id)
    await driver.jobs.BlockJob(pb.BlockJobRequest(request_id=request_id, epoch=job.epoch, reason="no", score=0.9))
    return job


async def _received(receiver: Receiver, path: str) -> bool:
    return bool(receiver.got.get(path))


async def _has_state(driver: Driver, job: pb.Job, state: str) -> bool:
    found = await driver.database.fetchval(
        "SELECT state FROM webhook_deliveries WHERE request_id = $1", uuid.UUID(job.request.request_id)
    )
    return bool(found == state)


def _verify(key: bytes, headers: Any, body: bytes) -> None:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["X-Webhook-Signature"] == f"sha256={digest.hex()}"
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
