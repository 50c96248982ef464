"""Deleting videos, and listing them in full, either way and behind one of them."""

from __future__ import annotations

import uuid

import asyncpg
import pytest

from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.storage import ObjectRef
from services.orchestrator.purger import Places
from tests.integration.orchestrator.driver import Driver, identity, reason_of
from tests.support.pictures import encoded, scene


async def _delete(driver: Driver, user: str, request_id: str) -> pb.DeleteVideoResponse:
    return await driver.videos.DeleteVideo(pb.DeleteVideoRequest(request_id=request_id), metadata=identity(user))


async def _list(driver: Driver, user: str, **fields: object) -> pb.ListFullVideosResponse:
    return await driver.videos.ListFullVideos(pb.ListFullVideosRequest(**fields), metadata=identity(user))  # type: ignore[arg-type]


async def test_a_deleted_video_is_emptied_and_seen_no_more(driver: Driver) -> None:
    user = f"user-{uuid.uuid4()}"
    request_id = uuid.UUID((await driver.completed(user)).request.request_id)
    assert (await reason_of(_delete(driver, "somebody else", str(request_id)))).reason == "VIDEO_NOT_FOUND"
    assert (await _delete(driver, user, str(request_id))).request_id == str(request_id)
    assert (await reason_of(driver.get(user, str(request_id)))).reason == "VIDEO_NOT_FOUND"
    assert (await reason_of(_delete(driver, user, str(request_id)))).reason == "VIDEO_NOT_FOUND"
    listed = await driver.videos.ListVideos(pb.ListVideosRequest(), metadata=identity(user))
    assert (list(listed.videos), listed.total) == ([], 0)
    row = await driver.database.fetchrow("SELECT * FROM video_generations WHERE request_id = $1", request_id)
    assert row is not None
    assert (row["status"], row["text_prompt"], row["video_url"], row["purged_at"]) == ("COMPLETED", "", None, None)


async def test_a_deleted_video_leaves_neither_its_picture_nor_where_its_reference_was(driver: Driver) -> None:
    user = f"user-{uuid.uuid4()}"
    request_id = await driver.create(
        user, first_frame_image=encoded(scene()), reference_video="https://93.184.215.14/walk.mp4"
    )
    picture = ObjectRef.parse((await driver.job(request_id)).artifacts.first_frame.uri)
    await _delete(driver, user, request_id)
    row = await driver.database.fetchrow(
        "SELECT first_frame_image_url, reference_video_url FROM video_generations WHERE request_id = $1",
        uuid.UUID(request_id),
    )
    assert row is not None
    assert list(row.values()) == [None, None]
    places = Places(("mezzanine",), driver.bucket)
    prefixes = places.prefixes(uuid.UUID(request_id))
    assert any(picture.bucket == bucket and picture.key.startswith(prefix) for bucket, prefix in prefixes)


async def test_deleting_an_unfinished_video_cancels_it(driver: Driver) -> None:
    user = f"user-{uuid.uuid4()}"
    job = await driver.generating(user)
    await _delete(driver, user, job.request.request_id)
    row = await driver.database.fetchrow(
        "SELECT status, credits_refunded FROM video_generations WHERE request_id = $1",
        uuid.UUID(job.request.request_id),
    )
    assert row is not None
    assert row["status"] == "CANCELLED"
    assert row["credits_refunded"] > 0


async def test_nothing_but_its_deletion_changes_a_job_that_has_ended(driver: Driver) -> None:
    user = f"user-{uuid.uuid4()}"
    request_id = await driver.create(user)
    await driver.cancel(user, request_id)
    changes = ("text_prompt = 'x'", "deleted_at = now(), text_prompt = 'x'", "deleted_at = now(), seed = 1")
    for change in changes:
        with pytest.raises(asyncpg.PostgresError, match="does not change"):
            await driver.database.execute(
                f"UPDATE video_generations SET {change} WHERE request_id = $1",
                uuid.UUID(request_id),
            )


async def test_videos_are_listed_in_full_either_way(driver: Driver) -> None:
    user = f"user-{uuid.uuid4()}"
    first = await driver.create(user, resolution="480p", num_inference_steps=7)
    second = await driver.create(user, remix_of=first, enable_audio=True)
    third = await driver.create(user)
    newest = await _list(driver, user, limit=2)
    assert [video.request_id for video in newest.videos] == [third, second]
    assert newest.has_more
    assert newest.videos[1].remix_of == first
    assert newest.videos[1].settings.audio_config.include_ambient
    rest = await _list(driver, user, after=second)
    assert [video.request_id for video in rest.videos] == [first]
    assert not rest.has_more
    settings = rest.videos[0].settings
    assert (settings.resolution, settings.num_inference_steps, settings.HasField("audio_config")) == ("480P", 7, False)
    await _delete(driver, user, second)
    oldest = await _list(driver, user, ascending=True)
    assert [video.request_id for video in oldest.videos] == [first, third]
    behind_the_deleted = await _list(driver, user, ascending=True, after=second)
    assert [video.request_id for video in behind_the_deleted.videos] == [third]
    for unknown in (str(uuid.uuid4()), "video_123"):
        assert not (await _list(driver, user, after=unknown)).videos
    for request_id in (first, third):
        await driver.cancel(user, request_id)


async def test_a_wrong_remix_is_named(driver: Driver) -> None:
    error = await reason_of(driver.create("alice", remix_of="video_123"))
    assert [violation.field for violation in error.violations] == ["remix_of"]
