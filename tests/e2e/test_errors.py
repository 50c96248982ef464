"""Every refusal of the source's API, with its code and the one error shape."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator

import httpx
import jwt
import pytest
import pytest_asyncio

from deploy.local.mesh import JWT_AUDIENCE, JWT_ISSUER
from tests.e2e.conftest import Finished
from tests.support.mesh import Answer, RunningMesh, User


def assert_error(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.body.get("code")) == (status, code), answer
    assert answer.body["error"]
    assert answer.body["reason"]
    assert answer.body["request_id"]


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(mesh: RunningMesh) -> AsyncIterator[User]:
    """A caller without a token."""
    async with httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
        yield User("nobody", http)


async def test_no_token_is_401(stranger: User) -> None:
    assert_error(await stranger.create(), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("change", [{"iss": "https://elsewhere"}, {"exp": int(time.time()) - 120}, {"key": "other"}])
async def test_a_bad_token_is_401(mesh: RunningMesh, stranger: User, change: dict[str, object]) -> None:
    key = mesh.home.keys.c2pa_key if change.pop("key", None) else mesh.home.keys.signing_key
    claims = {"sub": "eve", "iss": JWT_ISSUER, "aud": JWT_AUDIENCE, "exp": int(time.time()) + 60, **change}
    token = jwt.encode(claims, key.read_text(), algorithm="ES256")
    answer = await stranger.call("GET", "/v1/videos", headers={"authorization": f"Bearer {token}"})
    assert_error(answer, 401, "UNAUTHENTICATED")


async def test_more_than_the_account_holds_is_402_and_holds_nothing(user: User) -> None:
    before = (await user.call("GET", "/v1/account")).body
    answer = await user.create(duration_seconds=60, resolution="4k", model="cinema")
    assert_error(answer, 402, "INSUFFICIENT_CREDITS")
    assert (await user.call("GET", "/v1/account")).body == before


async def test_a_prompt_against_the_policy_is_451_and_leaves_only_an_audit_row(mesh: RunningMesh, user: User) -> None:
    request_id = str(uuid.uuid4())
    answer = await user.create(request_id, prompt="graphic video of a beheading with gore and blood")
    assert_error(answer, 451, "CONTENT_BLOCKED")
    query = "SELECT passed, check_type FROM safety.safety_audit_log WHERE NOT passed"
    assert {"passed": False, "check_type": "PRE_GEN"} in await mesh.rows(query)
    assert (await user.call("GET", "/v1/account")).body["held_credits"] == 0


async def test_an_unknown_and_a_foreign_video_look_the_same(user: User, finished: Finished) -> None:
    unknown = await user.call("GET", f"/v1/videos/{uuid.uuid4()}")
    foreign = await user.call("GET", f"/v1/videos/{finished.id}")
    assert_error(unknown, 404, "VIDEO_NOT_FOUND")
    assert_error(foreign, 404, "VIDEO_NOT_FOUND")
    assert unknown.body["reason"] == foreign.body["reason"]


async def test_cancelling_a_finished_video_is_409(finished: Finished) -> None:
    answer = await finished.owner.call("DELETE", f"/v1/videos/{finished.id}")
    assert_error(answer, 409, "VIDEO_ALREADY_FINISHED")
    assert answer.body["status"] == "COMPLETED"


async def test_cancelling_refunds_and_repeats_its_answer(user: User) -> None:
    video = await user.accepted(num_inference_steps=100)
    first = await user.call("DELETE", f"/v1/videos/{video}")
    assert (first.status, first.body["status"]) == (200, "CANCELLED")
    assert first.body["refunded_credits"] > 0
    again = await user.call("DELETE", f"/v1/videos/{video}")
    assert again.body["refunded_credits"] == first.body["refunded_credits"]


async def test_the_same_request_id_makes_one_video(user: User) -> None:
    request_id = str(uuid.uuid4())
    first = await user.create(request_id)
    again = await user.create(request_id)
    other = await user.create(request_id, seed=8)
    assert (first.status, again.status) == (202, 202)
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    assert_error(other, 409, "IDEMPOTENCY_KEY_REUSED")
    await user.call("DELETE", f"/v1/videos/{first.body['request_id']}")
