"""One prompt becomes a video, seen through every door of the gateway."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.e2e.conftest import STEPS, Finished
from tests.support.watchers import HAPPY_PATH, sse_status_of, status_of, watch_sse, without_repeats


def test_the_acceptance_has_the_sources_fields(finished: Finished) -> None:
    accepted = finished.accepted
    assert accepted["status"] == "PENDING"
    assert accepted["estimated_time_seconds"] > 0
    assert accepted["progress_url"].endswith(f"/v1/videos/{finished.id}/progress")
    assert accepted["progress_url"].startswith("ws://")
    assert datetime.fromisoformat(accepted["created_at"])


def test_the_finished_video_has_the_sources_fields(finished: Finished) -> None:
    body = finished.body
    assert body["status"] == "COMPLETED"
    output = body["output"]
    assert output["resolution"] == "854x480"
    assert output["duration_seconds"] == 5
    assert output["fps"] == 24
    assert output["file_size_bytes"] > 10_000
    assert all(output[name].startswith("http") for name in ("video_url", "thumbnail_url", "c2pa_manifest_url"))
    assert body["generation_time_ms"] > 0
    assert body["credits_used"] == pytest.approx(0.375)
    created, started, completed = (
        datetime.fromisoformat(body[f"{what}_at"]) for what in ("created", "started", "completed")
    )
    assert created <= started < completed


def test_every_status_is_seen_in_order_by_grpc(finished: Finished) -> None:
    assert without_repeats(map(status_of, finished.grpc)) == HAPPY_PATH
    assert finished.grpc[-1].WhichOneof("event") == "completed"


def test_every_status_is_seen_in_order_on_the_websocket(finished: Finished) -> None:
    assert without_repeats(message["status"] for message in finished.websocket) == HAPPY_PATH
    assert finished.websocket[-1]["type"] == "completed"


def test_every_status_is_seen_in_order_on_sse(finished: Finished) -> None:
    assert without_repeats(map(sse_status_of, finished.sse)) == HAPPY_PATH
    assert finished.sse[-1]["event"] == "completed"


def test_the_sse_events_have_the_sources_fields(finished: Finished) -> None:
    fields = {"request_id", "status", "step", "total_steps", "phase", "percent", "eta_seconds", "timestamp"}
    progress = [event["data"] for event in finished.sse if event["event"] == "progress"]
    assert all(fields <= set(data) for data in progress)
    steps = [data["step"] for data in progress if data["phase"] == "dit_inference"]
    assert steps[-1] == STEPS
    changes = [event["data"] for event in finished.sse if event["event"] == "phase_change"]
    assert {"request_id", "previous_phase", "new_phase", "timestamp"} == set(changes[0])
    assert ("dit_inference", "vae_decoding") in {(data["previous_phase"], data["new_phase"]) for data in changes}
    assert {"request_id", "status", "video_url", "timestamp"} <= set(finished.sse[-1]["data"])


def test_progress_never_falls(finished: Finished) -> None:
    percents = [event["data"]["percent"] for event in finished.sse if event["event"] == "progress"]
    assert percents == sorted(percents)


def test_the_websocket_messages_have_the_sources_fields(finished: Finished) -> None:
    progress = [message for message in finished.websocket if message["type"] == "progress"]
    generating = next(message for message in progress if "worker" in message)
    assert {"type", "request_id", "status", "progress", "worker", "timestamp"} <= set(generating)
    fields = {"step", "total_steps", "percent", "phase", "eta_seconds", "checkpoint_available"}
    assert fields == set(generating["progress"])
    assert {"worker_id", "gpu_utilization"} == set(generating["worker"])
    saved = next(m for m in finished.websocket if m["type"] == "checkpoint_saved")
    fields = {"checkpoint_id", "step", "total_steps", "local_path", "size_bytes", "synced_to_remote"}
    assert fields == set(saved["checkpoint"])


async def test_a_late_watcher_gets_the_end_at_once(finished: Finished) -> None:
    (event,) = await watch_sse(finished.owner, finished.id, last_event_id="")
    assert event["event"] == "completed"


async def test_the_video_is_in_its_owners_list(finished: Finished) -> None:
    answer = await finished.owner.call("GET", "/v1/videos?limit=20&offset=0&status=COMPLETED")
    assert (answer.status, answer.body["total"], answer.body["limit"], answer.body["offset"]) == (200, 1, 20, 0)
    (video,) = answer.body["videos"]
    assert video["request_id"] == finished.id
    assert video["prompt"] == "a red ball bouncing on green grass"
    assert video["thumbnail_url"].startswith("http")
