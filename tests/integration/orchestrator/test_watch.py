"""Watching a video: a snapshot, every change, always the end; by gRPC and as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from kinemesh.video.v1 import video_service_pb2 as video
from services.common.formats import jpeg_url
from services.common.streams import JOB_EVENTS
from tests.integration.orchestrator.driver import ARTIFACT, Driver, S, checkpoint, identity, reason_of
from tests.support.pictures import encoded, scene


async def test_a_watcher_sees_steps_checkpoints_phases_and_the_end(driver: Driver) -> None:
    job = await driver.generating("watch")
    request_id = job.request.request_id
    events = _watch(driver, "watch", request_id)
    first = await anext(events)
    assert first.progress.phase == "dit_inference"
    assert first.progress.worker.worker_id == "worker-1"
    report = pb.ReportProgressRequest(
        request_id=request_id, epoch=job.epoch, step=10, step_time_ms=100, worker_id="worker-1", gpu_utilization=0.95
    )
    await driver.jobs.ReportProgress(report)
    step = await anext(events)
    assert (step.progress.step, step.progress.total_steps, step.progress.percent) == (10, 50, 30)
    assert step.progress.eta_seconds >= 4
    assert step.progress.worker.gpu_utilization == 0.95
    assert not step.progress.checkpoint_available
    await driver.jobs.SaveCheckpoint(checkpoint(job, 10))
    saved = (await anext(events)).checkpoint_saved
    assert (saved.step, saved.local_path, saved.size_bytes, saved.synced_to_remote) == (
        10,
        "/scratch/step_10",
        100,
        True,
    )
    await driver.advance(job, S.VIDEO_STATUS_VAE_DECODING, artifacts=pb.JobArtifacts(latents=ARTIFACT))
    change = await anext(events)
    assert (change.phase_change.previous_phase, change.phase_change.new_phase) == ("dit_inference", "vae_decoding")
    assert (await anext(events)).progress.checkpoint_available
    await driver.cancel("watch", request_id)
    rest = [event async for event in events]
    assert [event.error.error_code for event in rest] == ["CANCELLED"]
    ids = [_position(event) for event in (first, step, change, *rest)]
    assert ids == sorted(set(ids))


async def test_watchers_see_previews_and_nobody_else_does(driver: Driver) -> None:
    job = await driver.generating("preview")
    request_id = job.request.request_id
    events = _watch(driver, "preview", request_id)
    asked = video.StreamVideoRequest(request_id=request_id)
    streamed = aiter(driver.videos.StreamVideo(asked, metadata=identity("preview")))
    await anext(events)
    await anext(streamed)
    jpeg = encoded(scene(), "JPEG")
    report = pb.ReportProgressRequest(request_id=request_id, epoch=job.epoch, step=5, preview_jpeg=jpeg)
    await driver.jobs.ReportProgress(report)
    assert (await anext(events)).progress.preview_jpeg == jpeg
    assert _data((await anext(streamed)).data.decode())["preview"] == jpeg_url(jpeg)
    late = _watch(driver, "preview", request_id)
    assert (await anext(late)).progress.preview_jpeg == b""
    for wrong in (b"GIF89a", b"\xff\xd8\xff" + bytes(32 * 2**10)):
        report.preview_jpeg = wrong
        assert (await reason_of(driver.jobs.ReportProgress(report))).violations[0].field == "preview_jpeg"
    await driver.cancel("preview", request_id)


async def test_a_stream_ends_with_the_token(driver: Driver) -> None:
    request_id = await driver.create("expiring")
    metadata = (*identity("expiring"), ("x-token-expires-at", str(int(time.time()) + 1)))
    watching = driver.videos.WatchVideo(video.WatchVideoRequest(request_id=request_id), metadata=metadata)
    streaming = driver.videos.StreamVideo(video.StreamVideoRequest(request_id=request_id), metadata=metadata)
    async with asyncio.timeout(10):
        assert [chunk async for chunk in streaming]
        error = await reason_of(_all(watching))
    assert error.reason == "UNAUTHENTICATED"
    await driver.cancel("expiring", request_id)


async def _all(events: AsyncIterable[Any]) -> list[Any]:
    return [event async for event in events]


async def test_a_late_watcher_gets_the_end_at_once(driver: Driver) -> None:
    job = await driver.completed("late")
    events = [event async for event in _watch(driver, "late", job.request.request_id)]
    assert [event.WhichOneof("event") for event in events] == ["completed"]
    assert "X-Amz-Signature=" in events[0].completed.video_url
    assert events[0].status == video_pb2.VIDEO_STATUS_COMPLETED


async def test_a_resumed_watcher_gets_the_phases_it_missed(driver: Driver) -> None:
    job = await driver.generating("resume")
    events = _watch(driver, "resume", job.request.request_id)
    last = await anext(events)
    events.cancel()
    job = await driver.advance(job, S.VIDEO_STATUS_VAE_DECODING, artifacts=pb.JobArtifacts(latents=ARTIFACT))
    await driver.advance(job, S.VIDEO_STATUS_SAFETY_CHECKING, artifacts=pb.JobArtifacts(mezzanine=ARTIFACT))
    resumed = _watch(driver, "resume", job.request.request_id, last.event_id)
    missed = [await anext(resumed) for _ in range(3)]
    assert [event.phase_change.new_phase for event in missed[:2]] == ["vae_decoding", "safety_check"]
    assert missed[2].progress.phase == "safety_check"
    resumed.cancel()


async def test_news_that_were_lost_are_found_in_the_database(driver: Driver) -> None:
    request_id = await driver.create("lost news")
    events = _watch(driver, "lost news", request_id)
    await anext(events)
    # Nobody publishes this change: it is made behind the service's back.
    await driver.database.execute(
        """UPDATE video_generations SET status = 'FAILED', epoch = epoch + 1, completed_at = now(), credits_used = 0,
        credits_refunded = cost_credits, error_code = 'X', error_message = 'y' WHERE user_id = 'lost news'"""
    )
    assert [event.error.error_code async for event in events] == ["X"]


async def test_many_watchers_share_the_news(driver: Driver) -> None:
    request_id = await driver.create("many")
    watchers = [_watch(driver, "many", request_id) for _ in range(50)]
    await asyncio.gather(*(anext(events) for events in watchers))
    await driver.cancel("many", request_id)
    ends = await asyncio.gather(*(_collect(events) for events in watchers))
    assert all([event.error.error_code for event in end] == ["CANCELLED"] for end in ends)


async def test_a_foreign_video_cannot_be_watched(driver: Driver) -> None:
    request_id = await driver.create("watched")
    for user, name in (("stranger", request_id), ("watched", "nonsense")):
        assert (await reason_of(anext(_watch(driver, user, name)))).reason == "VIDEO_NOT_FOUND"


async def test_server_sent_events_are_the_source_s(driver: Driver) -> None:
    job = await driver.generating("sse")
    request_id = job.request.request_id
    stream = driver.videos.StreamVideo(
        video.StreamVideoRequest(request_id=request_id), metadata=(*identity("sse"), ("last-event-id", "0-0"))
    )
    texts: list[str] = []
    async for body in stream:
        assert body.content_type == "text/event-stream"
        texts.append(body.data.decode())
        if texts[-1].startswith(": "):
            await driver.cancel("sse", request_id)
    names = [text.split("\n")[0] for text in texts if not text.startswith(":")]
    data = [_data(text) for text in texts if not text.startswith(":")]
    told = [fields.get("status") or fields["new_phase"] for fields in data]
    assert list(zip(names, told, strict=True)) == [
        ("event: progress", "PENDING"),
        ("event: phase_change", "prompt_encoding"),
        ("event: phase_change", "queued"),
        ("event: progress", "ASSIGNED"),
        ("event: phase_change", "dit_inference"),
        ("event: progress", "GENERATING"),
        ("event: error", "CANCELLED"),
    ]
    progress, phase_change, error = data[0], data[1], data[-1]
    assert list(phase_change) == ["request_id", "previous_phase", "new_phase", "timestamp"]
    assert list(progress) == [
        "request_id", "status", "step", "total_steps", "phase", "percent", "eta_seconds", "timestamp",
    ]  # fmt: skip
    assert list(error) == ["request_id", "status", "error_code", "error_message", "timestamp"]
    assert error["status"] == "CANCELLED"
    assert all("\nid: " in text and text.endswith("\n\n") for text in texts if not text.startswith(":"))


async def test_every_change_of_state_reaches_the_broker_once_per_revision(driver: Driver) -> None:
    job = await driver.completed("broker")
    request_id = job.request.request_id
    await driver.jetstream.ensure_stream(JOB_EVENTS)
    subscription = await driver.jetstream.client.jetstream().pull_subscribe("job.events.>", stream=JOB_EVENTS.name)
    seen: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(20):
        while not any(event["status"] == "VIDEO_STATUS_COMPLETED" for event in seen.values()):
            for message in await subscription.fetch(100, timeout=5):
                event = json.loads(message.data)
                if event["request_id"] == request_id:
                    seen[event["rev"]] = event
                await message.ack()
    assert sorted(int(rev) for rev in seen) == list(range(1, job.rev + 1))
    end = seen[str(job.rev)]
    assert end["settlement"] == {"captured_credits": "2.0000", "refunded_credits": "0.0000"}


async def test_a_queued_job_is_announced_with_the_source_s_fields_and_again_when_nobody_takes_it(
    driver: Driver,
) -> None:
    subscription = await driver.jetstream.client.subscribe("video_generation_jobs.*")
    job = await driver.queued("announced", enable_audio=True, duration_seconds=10)
    found = []
    async with asyncio.timeout(20):
        async for message in subscription.messages:
            data = json.loads(message.data)
            if data["request_id"] == job.request.request_id:
                assert message.subject == "video_generation_jobs.standard"
                found.append(data)
            if len(found) == 2:
                break
    assert found[0] == found[1]
    assert found[0] == {
        "request_id": job.request.request_id,
        "user_id": "announced",
        "tier": "STANDARD",
        "priority": 100,
        "model": "REFERENCE",
        "prompt_embedding_path": "s3://embeddings/e",
        "config": {"duration_seconds": 10.0, "resolution": "1080P", "num_steps": 50, "enable_audio": True},
        "enqueued_at": found[0]["enqueued_at"],
    }


class _Events(AsyncIterator[video.WatchVideoResponse]):
    """A stream of events that can be cancelled."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, video.WatchVideoResponse]) -> None:
        self._call = call
        self._events = call.__aiter__()

    async def __anext__(self) -> video.WatchVideoResponse:
        async with asyncio.timeout(20):
            return await anext(self._events)

    def cancel(self) -> None:
        self._call.cancel()


def _watch(driver: Driver, user: str, request_id: str, last_event_id: str = "") -> _Events:
    request = video.WatchVideoRequest(request_id=request_id, last_event_id=last_event_id)
    return _Events(driver.videos.WatchVideo(request, metadata=identity(user)))


async def _collect(events: _Events) -> list[video.WatchVideoResponse]:
    return [event async for event in events]


def _position(event: video.WatchVideoResponse) -> tuple[int, int]:
    rev, seq = event.event_id.split("-")
    return int(rev), int(seq)


def _data(text: str) -> dict[str, Any]:
    line = next(line for line in text.split("\n") if line.startswith("data: "))
    data: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return data
