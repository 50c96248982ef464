"""Accepting a video: once per key, never without payment, nothing held for what did not become a job."""

from __future__ import annotations

import asyncio
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_service_pb2 as pb
from services.common import addresses
from services.common.storage import ObjectRef
from tests.integration.orchestrator.driver import ARTIFACT, Driver, S, identity, reason_of
from tests.support.pictures import encoded, scene
from tests.support.waiting import eventually

SOURCE_BODY = {
    "prompt": "A serene lake at sunset with mountains in the background",
    "negative_prompt": "blurry, low quality, distorted",
    "duration_seconds": 10,
    "resolution": "1080p",
    "aspect_ratio": "16:9",
    "fps": 24,
    "model": "standard",
    "enable_audio": True,
    "audio_config": {"include_ambient": True, "include_music": False},
    "seed": 42,
    "webhook_url": "https://192.0.2.1/webhook",
}


@pytest.fixture(scope="module")
def overrides() -> dict[str, Any]:
    return {"max_unfinished_jobs": 8, "accept_abandoned_after_s": 30}


async def test_the_source_s_request_is_accepted(driver: Driver) -> None:
    body = {**SOURCE_BODY, "webhook_url": "https://93.184.215.14/webhook"}
    call = _post(driver, "source", json.dumps(body).encode())
    response = await call
    assert response.status == "PENDING"
    assert response.progress_url == f"wss://api.example.com/v1/videos/{response.request_id}/progress"
    assert response.estimated_time_seconds > 20
    assert dict(await call.initial_metadata())["x-http-code"] == "202"
    video = await driver.get("source", response.request_id)
    assert (video.prompt, video.seed, video.model, video.tier) == (body["prompt"], 42, "REFERENCE", "STANDARD")
    job = await driver.job(response.request_id)
    assert job.request.generation_config.audio_config.include_ambient
    assert job.request.safety.pre_gen_score == pytest.approx(0.1)
    assert job.request.billing.cost_credits == "2.0000"


async def test_the_same_key_and_body_give_the_same_answer_once_paid(driver: Driver) -> None:
    key, holds = str(uuid.uuid4()), len(driver.billing.holds)
    first = await driver.videos.CreateVideo(pb.CreateVideoRequest(prompt="a"), metadata=identity("replay", key))
    call = driver.videos.CreateVideo(pb.CreateVideoRequest(prompt="a"), metadata=identity("replay", key))
    assert await call == first
    assert dict(await call.initial_metadata())["idempotent-replayed"] == "true"
    by_rest = _post(driver, "replay", b'{"prompt": "a", "fps": 24.0}', key)
    assert await by_rest == first
    assert len(driver.billing.holds) == holds + 1


async def test_the_same_key_with_another_body_is_refused(driver: Driver) -> None:
    key = str(uuid.uuid4())
    await driver.create("reuse", key=key)
    error = await reason_of(driver.create("reuse", key=key, prompt="another"))
    assert (error.reason, error.http_code) == ("IDEMPOTENCY_KEY_REUSED", 409)
    assert await driver.create("another user", key=key, prompt="another")


async def test_a_hundred_equal_requests_make_one_job(driver: Driver) -> None:
    key, holds = str(uuid.uuid4()), len(driver.billing.holds)
    ids = await asyncio.gather(*(driver.create("hundred", key=key) for _ in range(100)))
    assert len(set(ids)) == 1
    assert len(driver.billing.holds) == holds + 1


async def test_a_blocked_prompt_makes_no_job_and_frees_the_key(driver: Driver) -> None:
    key = str(uuid.uuid4())
    error = await reason_of(driver.create("blocked", key=key, prompt="forbidden things"))
    assert (error.reason, error.http_code) == ("CONTENT_BLOCKED", 451)
    assert error.metadata["categories"] == "violence"
    assert not (await _list(driver, "blocked")).videos
    assert await driver.create("blocked", key=key, prompt="harmless things")


async def test_a_picture_is_kept_as_png_and_paid_once_over_replays(driver: Driver) -> None:
    key, picture = str(uuid.uuid4()), encoded(scene(), "JPEG")
    request_id = await driver.create("painter", key=key, first_frame_image=picture)
    assert await driver.create("painter", key=key, first_frame_image=picture) == request_id
    error = await reason_of(driver.create("painter", key=key, first_frame_image=encoded(scene())))
    assert error.reason == "IDEMPOTENCY_KEY_REUSED"
    job = await driver.job(request_id)
    stored = job.artifacts.first_frame
    png = await driver.store.get_bytes(ObjectRef.parse(stored.uri), sha256=stored.sha256)
    assert png.startswith(b"\x89PNG")
    assert (job.request.prompt_config.first_frame_image, driver.safety.pictures) == (stored.uri, [stored.uri])
    assert (await driver.get("painter", request_id)).settings.has_first_frame


async def test_a_picture_that_the_policy_forbids_makes_no_job_and_is_not_kept(driver: Driver) -> None:
    driver.safety.blind = False
    try:
        error = await reason_of(driver.create("forger", first_frame_image=encoded(scene())))
    finally:
        driver.safety.blind = True
    assert (error.reason, error.http_code) == ("CONTENT_BLOCKED", 451)
    assert await driver.store.head(ObjectRef.parse(driver.safety.pictures[-1])) is None
    assert await _no_key_of(driver, "forger")


async def test_a_picture_that_cannot_be_read_is_refused(driver: Driver) -> None:
    error = await reason_of(driver.create("careless", first_frame_image=encoded(scene())[:300]))
    assert (error.reason, [violation.field for violation in error.violations]) == (
        "INVALID_FIELD",
        ["first_frame_image"],
    )


async def test_a_job_waits_for_its_reference_video(driver: Driver) -> None:
    url = "https://93.184.215.14/walk.mp4"
    request_id = await driver.create("walker", reference_video=url, style_preset="night")
    job = await driver.claim(job_service_pb2.STAGE_ENCODING, request_id)
    prompt = job.request.prompt_config
    assert (prompt.reference_video, prompt.reference_strength, prompt.style_preset) == (url, 0.7, "night")
    made = job_service_pb2.JobArtifacts(prompt_embedding_uri="s3://embeddings/e")
    error = await reason_of(driver.advance(job, S.VIDEO_STATUS_QUEUED, artifacts=made))
    assert error.violations[0].field == "artifacts.reference_video"
    made.reference_video.CopyFrom(ARTIFACT)
    job = await driver.advance(job, S.VIDEO_STATUS_QUEUED, artifacts=made)
    assert job.artifacts.reference_video == ARTIFACT
    settings = (await driver.get("walker", request_id)).settings
    assert (settings.reference_video, settings.reference_strength, settings.style_preset) == (url, 0.7, "night")


async def test_a_private_reference_video_is_refused(driver: Driver) -> None:
    for url in ("https://127.0.0.1/a.mp4", "https://[::1]/a.mp4", "https://2130706433/a.mp4", "http://93.184.215.14/a"):
        error = await reason_of(driver.create("spy", reference_video=url))
        assert (error.reason, error.violations[0].field) == ("REFERENCE_VIDEO_REFUSED", "reference_video")


async def test_safety_reads_the_prompt_in_the_words_of_its_style(driver: Driver) -> None:
    driver.safety.forbidden.add("at night")
    try:
        assert (await reason_of(driver.create("styled", style_preset="night"))).reason == "CONTENT_BLOCKED"
    finally:
        driver.safety.forbidden.remove("at night")


async def test_without_credits_no_job_and_after_a_top_up_the_same_key_works(driver: Driver) -> None:
    driver.billing.credits["poor"] = Decimal(1)
    key = str(uuid.uuid4())
    error = await reason_of(driver.create("poor", key=key))
    assert (error.reason, error.http_code) == ("INSUFFICIENT_CREDITS", 402)
    driver.billing.credits["poor"] = Decimal(2)
    assert await driver.create("poor", key=key)


async def test_credit_for_one_accepts_one_of_many(driver: Driver) -> None:
    driver.billing.credits["single"] = Decimal(2)
    results = await asyncio.gather(*(driver.create("single") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 1


async def test_a_retry_after_a_lost_answer_goes_on_with_the_same_hold_and_price(driver: Driver) -> None:
    key, holds = str(uuid.uuid4()), len(driver.billing.holds)
    driver.billing.lose_answers = 1
    assert (await reason_of(driver.create("lost", key=key))).reason == "INTERNAL"
    driver.billing.price = Decimal("3.0")
    try:
        request_id = await driver.create("lost", key=key)
    finally:
        driver.billing.price = Decimal("2.0")
    assert len(driver.billing.holds) == holds + 1
    assert driver.billing.holds[request_id] == Decimal("2.0")


async def test_a_retry_that_is_blocked_gives_back_what_the_first_attempt_held(driver: Driver) -> None:
    key, holds = str(uuid.uuid4()), len(driver.billing.holds)
    driver.billing.lose_answers = 1
    await reason_of(driver.create("second thoughts", key=key, prompt="a dubious lake"))
    assert len(driver.billing.holds) == holds + 1
    driver.safety.forbidden.add("dubious")
    error = await reason_of(driver.create("second thoughts", key=key, prompt="a dubious lake"))
    assert error.reason == "CONTENT_BLOCKED"
    assert len(driver.billing.holds) == holds
    assert await _no_key_of(driver, "second thoughts")


async def test_a_replay_does_not_vet_the_webhook_again(driver: Driver) -> None:
    key, url = str(uuid.uuid4()), "https://93.184.215.14/webhook"
    request_id = await driver.create("vetted", key=key, webhook_url=url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "is_public", lambda _: False)
        assert (await reason_of(driver.create("vetted", webhook_url=url))).reason == "WEBHOOK_URL_REFUSED"
        assert await driver.create("vetted", key=key, webhook_url=url) == request_id


async def test_an_accept_that_nobody_retries_is_undone(driver: Driver) -> None:
    driver.billing.lose_answers = 1
    await reason_of(driver.create("gone"))
    released = len(driver.billing.released)
    await driver.database.execute(
        "UPDATE idempotency_keys SET held_until = now() - interval '1 hour' WHERE user_id = 'gone'"
    )
    await eventually(lambda: _released_more_than(driver, released))
    await eventually(lambda: _no_key_of(driver, "gone"))


async def test_too_many_unfinished_jobs_are_refused_also_at_once(driver: Driver) -> None:
    results = await asyncio.gather(*(driver.create("busy") for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 8
    error = await reason_of(driver.create("busy"))
    assert (error.reason, error.http_code, error.retry_after_s) == ("RATE_LIMITED", 429, 10)
    first = next(result for result in results if isinstance(result, str))
    await driver.cancel("busy", first)
    assert await driver.create("busy")


async def test_who_calls_must_be_known(driver: Driver) -> None:
    error = await reason_of(driver.videos.CreateVideo(pb.CreateVideoRequest(prompt="a")))
    assert error.reason == "UNAUTHENTICATED"


async def test_a_key_must_be_a_uuid(driver: Driver) -> None:
    error = await reason_of(driver.create("key", key="../../etc"))
    assert [violation.field for violation in error.violations] == ["x-request-id"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"prompt": "a", "promt": "b"}', "UNKNOWN_FIELD"),
        (b'{"prompt": "a", "prompt": "b"}', "MALFORMED_JSON"),
        (b"\xef\xbb\xbf{}", "MALFORMED_JSON"),
        (b"[" * 5000, "MALFORMED_JSON"),
        (b"", "MALFORMED_JSON"),
        (b'{"prompt": "\\ud800"}', "INVALID_FIELD"),
        (b'{"prompt": "a", "fps": "24"}', "INVALID_FIELD"),
    ],
)
async def test_bad_json_is_named(driver: Driver, body: bytes, reason: str) -> None:
    error = await reason_of(_post(driver, "json", body))
    assert (error.reason, error.http_code) == (reason, 400)


async def test_private_webhook_addresses_are_refused(driver: Driver) -> None:
    for url in ("https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "http://93.184.215.14/", "https://localhost/x"):
        error = await reason_of(driver.create("hooks", webhook_url=url))
        assert error.reason == "WEBHOOK_URL_REFUSED", url


async def test_a_foreign_video_looks_missing(driver: Driver) -> None:
    request_id = await driver.create("owner")
    foreign = await reason_of(driver.get("stranger", request_id))
    missing = await reason_of(driver.get("stranger", str(uuid.uuid4())))
    nonsense = await reason_of(driver.get("stranger", "a\r\nb"))
    assert {(e.reason, e.message, e.http_code) for e in (foreign, missing, nonsense)} == {
        ("VIDEO_NOT_FOUND", "no such video", 404)
    }
    assert (await reason_of(driver.cancel("stranger", request_id))).reason == "VIDEO_NOT_FOUND"
    assert (await driver.get("owner", request_id)).status == "PENDING"


async def test_lists_are_paged_by_offset_and_by_token(driver: Driver) -> None:
    ids = [await driver.create("lister", prompt=f"prompt {i}") for i in range(5)]
    await driver.cancel("lister", ids[0])
    first = await _list(driver, "lister", limit=2)
    assert ([video.request_id for video in first.videos], first.total) == ([ids[4], ids[3]], 5)
    second = await _list(driver, "lister", limit=2, page_token=first.next_page_token)
    assert [video.request_id for video in second.videos] == [ids[2], ids[1]]
    last = await _list(driver, "lister", limit=2, offset=4)
    assert ([video.request_id for video in last.videos], last.next_page_token) == ([ids[0]], "")
    cancelled = await _list(driver, "lister", status="CANCELLED")
    assert ([video.request_id for video in cancelled.videos], cancelled.total, cancelled.limit) == ([ids[0]], 1, 20)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"limit": -1}, "limit"),
        ({"offset": -1}, "offset"),
        ({"status": "NONSENSE"}, "status"),
        ({"page_token": "%%%"}, "page_token"),
        ({"page_token": "WzEsIDJd"}, "page_token"),
    ],
)
async def test_bad_lists_name_the_field(driver: Driver, fields: dict[str, Any], field: str) -> None:
    error = await reason_of(_list(driver, "lister", **fields))
    assert [violation.field for violation in error.violations] == [field]


async def test_estimates_follow_what_was_measured(driver: Driver) -> None:
    before = await driver.videos.CreateVideo(pb.CreateVideoRequest(prompt="a"), metadata=identity("estimates"))
    job = await driver.completed("estimates", model="realtime")
    await driver.database.execute("ALTER TABLE video_generations DISABLE TRIGGER guard_job")
    await driver.database.execute(
        """UPDATE video_generations SET tier = 'CINEMA', step_time_ms = 10, generation_time_ms = 1000, total_steps = 50
        WHERE request_id = $1""",
        uuid.UUID(job.request.request_id),
    )
    await driver.database.execute("ALTER TABLE video_generations ENABLE TRIGGER guard_job")
    await driver.database.execute(
        """UPDATE video_generations SET status = 'CANCELLED', epoch = epoch + 1, completed_at = now(),
        credits_used = 0, credits_refunded = cost_credits WHERE completed_at IS NULL"""
    )
    measured = await driver.videos.CreateVideo(
        pb.CreateVideoRequest(prompt="a", model="cinema"), metadata=identity("estimates")
    )
    assert before.estimated_time_seconds > 10
    assert measured.estimated_time_seconds == 2  # 80 steps of 10 ms, and half a second


def _post(driver: Driver, user: str, body: bytes, key: str | None = None) -> Any:
    request = pb.CreateVideoFromJsonRequest(body=HttpBody(content_type="application/json", data=body))
    return driver.videos.CreateVideoFromJson(request, metadata=identity(user, key))


async def _list(driver: Driver, user: str, **fields: Any) -> pb.ListVideosResponse:
    return await driver.videos.ListVideos(pb.ListVideosRequest(**fields), metadata=identity(user))


async def _released_more_than(driver: Driver, count: int) -> bool:
    return len(driver.billing.released) > count


async def _no_key_of(driver: Driver, user: str) -> bool:
    return not await driver.database.fetchval("SELECT count(*) FROM idempotency_keys WHERE user_id = $1", user)
