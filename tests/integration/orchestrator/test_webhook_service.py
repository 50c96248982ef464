"""What users do with webhooks: verify them with other people's code, read the log, replay, rotate the secret."""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from openai import InvalidWebhookSignatureError, OpenAI
from replicate.webhook import InvalidSignatureError, Webhooks, WebhookSigningSecret
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from kinemesh.video.v1 import webhook_service_pb2 as pb
from tests.integration.orchestrator.driver import Driver, identity, reason_of
from tests.integration.orchestrator.receiver import Receiver, receiving
from tests.support.waiting import eventually

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
OTHER = f"whsec_{base64.b64encode(b'o' * 32).decode()}"


@pytest.fixture(scope="module")
def overrides() -> dict[str, Any]:
    return {"webhook_allow_private": True, "webhook_retry_delays_s": (0.1, 0.1), "webhook_timeout_s": 5}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def standardwebhooks(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    Webhook(secret).verify(body, dict(headers))


def openai(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    OpenAI(api_key="none").webhooks.unwrap(body, headers, secret=secret)


def replicate(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    lower = {name.lower(): value for name, value in headers.items()}
    Webhooks.validate(headers=lower, body=body.decode(), secret=WebhookSigningSecret(key=secret), tolerance=300)


REFUSALS = (WebhookVerificationError, InvalidWebhookSignatureError, InvalidSignatureError)
VERIFIERS = [standardwebhooks, openai, replicate]


@pytest.mark.parametrize("verify", VERIFIERS)
async def test_other_people_s_verifiers_accept_it(driver: Driver, receiver: Receiver, verify: Any) -> None:
    path = f"/{verify.__name__}"
    await driver.blocked("verified", webhook_url=f"{receiver.url}{path}", webhook_secret=SECRET)
    headers, body = await _first(receiver, path)
    verify(headers, body, SECRET)
    for forged in (body + b" ", body.replace(b"BLOCKED", b"FAILED!")):
        with pytest.raises(REFUSALS):
            verify(headers, forged, SECRET)
    with pytest.raises(REFUSALS):
        verify(headers, body, OTHER)


async def test_while_a_secret_is_rotated_both_verify(driver: Driver, receiver: Receiver) -> None:
    """A webhook that is being retried meanwhile, too."""
    me, path = "rotates", "/rotates"
    before = await _secret(driver, me)
    receiver.answers[path] = [500, 500]
    receiver.gate(path)
    await driver.blocked(me, webhook_url=f"{receiver.url}{path}")
    rotated = await _rotate(driver, me)
    assert rotated.webhook_secret not in ("", before)
    assert rotated.previous_expires_at.seconds > 0
    assert await _secret(driver, me) == rotated.webhook_secret
    receiver.open(path)
    await eventually(lambda: _count(receiver, path, 3))
    headers, body = receiver.got[path][-1]
    for verify in VERIFIERS:
        verify(headers, body, before)
        verify(headers, body, rotated.webhook_secret)


async def test_a_secret_known_to_others_ceases_at_once(driver: Driver, receiver: Receiver) -> None:
    me, path = "leaked", "/leaked"
    before = await _secret(driver, me)
    rotated = await _rotate(driver, me, overlap_seconds=0)
    await driver.blocked(me, webhook_url=f"{receiver.url}{path}")
    headers, body = await _first(receiver, path)
    standardwebhooks(headers, body, rotated.webhook_secret)
    with pytest.raises(WebhookVerificationError):
        standardwebhooks(headers, body, before)


async def test_a_repeated_rotation_is_the_same_one(driver: Driver) -> None:
    key = str(uuid.uuid4())
    first, second = [await _rotate(driver, "repeats", key=key) for _ in range(2)]
    assert first == second
    assert (await _rotate(driver, "repeats")).webhook_secret != first.webhook_secret


@pytest.mark.parametrize("overlap", [-1, 604_801])
async def test_an_absurd_overlap_is_refused(driver: Driver, overlap: int) -> None:
    assert (await reason_of(_rotate(driver, "absurd", overlap_seconds=overlap))).reason == "INVALID_FIELD"


async def test_secrets_are_each_user_s_own_and_encrypted_at_rest(driver: Driver) -> None:
    mine, yours = [(await _rotate(driver, user)).webhook_secret for user in ("mine", "yours")]
    assert mine != yours
    stored = await driver.database.fetch("SELECT secret FROM webhook_secrets")
    assert not [row for row in stored if mine.encode() in row["secret"]]


async def test_the_log_tells_every_attempt(driver: Driver, receiver: Receiver) -> None:
    receiver.answers["/log"] = [500, 429, 200]
    video = await driver.blocked("logged", webhook_url=f"{receiver.url}/log")
    await eventually(lambda: _in_state(driver, "logged", video, "DELIVERED"))
    found = await _get(driver, "logged", video)
    assert [(line.attempt, line.result) for line in found.attempts] == [(3, "200"), (2, "429"), (1, "500")]
    assert (found.webhook.attempts, found.webhook.last_result, found.webhook.event) == (3, "200", "video.blocked")
    assert found.webhook.webhook_id == receiver.got["/log"][0][0]["webhook-id"]
    assert not found.webhook.HasField("next_attempt_at")


async def test_a_delivery_that_was_given_up_is_replayed_under_the_same_id(driver: Driver, receiver: Receiver) -> None:
    receiver.answers["/down"] = [500, 500, 500]
    video = await driver.blocked("replays", webhook_url=f"{receiver.url}/down")
    await eventually(lambda: _in_state(driver, "replays", video, "GIVEN_UP"))
    assert len(receiver.got["/down"]) == 3
    receiver.answers["/down"] = [500, 500]
    assert (await _replay(driver, "replays", video)).webhook.state == "PENDING"
    await eventually(lambda: _in_state(driver, "replays", video, "DELIVERED"))
    assert len({headers["webhook-id"] for headers, _ in receiver.got["/down"]}) == 1
    assert len({body for _, body in receiver.got["/down"]}) == 1
    assert (await _get(driver, "replays", video)).webhook.attempts == 6


async def test_gone_disables_an_address_until_a_replay(driver: Driver, receiver: Receiver) -> None:
    receiver.answers["/gone"] = [410]
    url = f"{receiver.url}/gone"
    first = await driver.blocked("gone", webhook_url=url)
    await eventually(lambda: _in_state(driver, "gone", first, "GIVEN_UP"))
    second = await driver.blocked("gone", webhook_url=url)
    await eventually(lambda: _in_state(driver, "gone", second, "GIVEN_UP"))
    assert (await _get(driver, "gone", second)).webhook.last_result == "address is gone"
    other = await driver.blocked("somebody else", webhook_url=url)
    await eventually(lambda: _in_state(driver, "somebody else", other, "DELIVERED"))
    assert len(receiver.got["/gone"]) == 2
    await _replay(driver, "gone", first)
    await eventually(lambda: _in_state(driver, "gone", first, "DELIVERED"))
    third = await driver.blocked("gone", webhook_url=url)
    await eventually(lambda: _in_state(driver, "gone", third, "DELIVERED"))


async def test_webhooks_are_listed_page_by_page(driver: Driver, receiver: Receiver) -> None:
    videos = [await driver.blocked("lists", webhook_url=f"{receiver.url}/list") for _ in range(3)]
    await eventually(lambda: _in_state(driver, "lists", videos[0], "DELIVERED"))
    request, seen = pb.ListWebhooksRequest(limit=2), []
    for size in (2, 1):
        page = await driver.webhooks.ListWebhooks(request, metadata=identity("lists"))
        assert len(page.webhooks) == size
        seen += [webhook.request_id for webhook in page.webhooks]
        request.page_token = page.next_page_token
    assert seen == videos[::-1]
    assert not page.next_page_token
    pending = pb.ListWebhooksRequest(state="given_up")
    assert not (await driver.webhooks.ListWebhooks(pending, metadata=identity("lists"))).webhooks
    nonsense = driver.webhooks.ListWebhooks(pb.ListWebhooksRequest(state="lost"), metadata=identity("lists"))
    assert (await reason_of(nonsense)).reason == "INVALID_FIELD"


async def test_another_user_s_video_looks_missing_and_one_without_webhook_says_so(driver: Driver) -> None:
    video = await driver.blocked("owner")
    for ask in (_get, _replay):
        assert (await reason_of(ask(driver, "stranger", video))).reason == "VIDEO_NOT_FOUND"
        assert (await reason_of(ask(driver, "owner", "no id"))).reason == "VIDEO_NOT_FOUND"
        assert (await reason_of(ask(driver, "owner", video))).reason == "RESOURCE_NOT_FOUND"


async def _first(receiver: Receiver, path: str) -> tuple[Any, bytes]:
    await eventually(lambda: _count(receiver, path, 1))
    return receiver.got[path][0]


async def _count(receiver: Receiver, path: str, wanted: int) -> bool:
    return len(receiver.got.get(path, ())) >= wanted


async def _secret(driver: Driver, user: str) -> str:
    return (
        await driver.webhooks.GetWebhookSecret(pb.GetWebhookSecretRequest(), metadata=identity(user))
    ).webhook_secret


async def _rotate(
    driver: Driver, user: str, *, key: str | None = None, **fields: Any
) -> pb.RotateWebhookSecretResponse:
    request = pb.RotateWebhookSecretRequest(**fields)
    return await driver.webhooks.RotateWebhookSecret(request, metadata=identity(user, key))


async def _get(driver: Driver, user: str, video: str) -> pb.GetVideoWebhookResponse:
    request = pb.GetVideoWebhookRequest(request_id=video)
    return await driver.webhooks.GetVideoWebhook(request, metadata=identity(user))


async def _replay(driver: Driver, user: str, video: str) -> pb.ReplayVideoWebhookResponse:
    request = pb.ReplayVideoWebhookRequest(request_id=video)
    return await driver.webhooks.ReplayVideoWebhook(request, metadata=identity(user))


async def _in_state(driver: Driver, user: str, video: str, state: str) -> bool:
    return (await _get(driver, user, video)).webhook.state == state
