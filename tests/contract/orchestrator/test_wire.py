"""The source's shapes, field by field, and every RPC of the contracts."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.json_format import MessageToDict, Parse

from kinemesh.common.v1 import error_reason_pb2
from kinemesh.orchestrator.v1 import job_events_pb2, job_service_pb2, job_service_pb2_grpc
from kinemesh.video.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc
from services.orchestrator import events
from services.orchestrator.convert import messages
from services.orchestrator.convert import video as convert
from services.orchestrator.convert.watching import error_event
from services.orchestrator.domain.status import Status
from services.orchestrator.links import Links
from services.orchestrator.servicer_jobs import JobServicer
from services.orchestrator.servicer_videos import VideoServicer
from tests.unit.orchestrator.builders import NOW, make_job

LINKS = Links(lambda ref, expires_s: f"https://cdn.example.com/{ref.key}?expires={expires_s}", "https://a.example/", 60)
COMPLETED = make_job(
    Status.COMPLETED,
    video_url="s3://media/videos/1.mp4",
    thumbnail_url="s3://media/thumbnails/1.jpg",
    c2pa_manifest_url="s3://media/manifests/1.json",
    video_size_bytes=52428800,
    video_width=1920,
    video_height=1080,
    video_duration_seconds=10.0,
    native_width=128,
    native_height=72,
    native_fps=8.0,
    generation_time_ms=45000,
    credits_used=Decimal("2.0000"),
    credits_refunded=Decimal(0),
    completed_at=NOW,
)


@pytest.mark.parametrize(
    ("descriptor", "servicer", "base"),
    [
        (
            job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
            JobServicer,
            job_service_pb2_grpc.JobServiceServicer,
        ),
        (
            video_service_pb2.DESCRIPTOR.services_by_name["VideoService"],
            VideoServicer,
            video_service_pb2_grpc.VideoServiceServicer,
        ),
    ],
)
def test_every_rpc_is_implemented(descriptor: ServiceDescriptor, servicer: type, base: type) -> None:
    missing = [name for name in descriptor.methods_by_name if getattr(servicer, name) is getattr(base, name)]
    assert not missing


def test_every_state_of_the_contract_is_known_and_no_other() -> None:
    known = {Status.from_proto(number) for number in video_pb2.VideoStatus.values()} - {None}
    assert known == set(Status)


def test_job_errors_are_documented_reasons() -> None:
    documented = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert {"GENERATION_TIMEOUT", "ATTEMPTS_EXHAUSTED", "ILLEGAL_TRANSITION", "FENCED"} <= documented


def test_a_video_in_progress_has_the_source_s_fields() -> None:
    shown = _json(convert.video(make_job(Status.GENERATING, current_step=30, percent=60, started_at=NOW), LINKS))
    assert {"request_id", "status", "progress", "created_at", "started_at"} <= set(shown)
    assert shown["progress"] == {
        "current_step": 30,
        "total_steps": 50,
        "percent_complete": 60,
        "current_phase": "DiT inference",
        "estimated_remaining_seconds": 13,
    }
    assert not {"output", "credits_used", "completed_at", "error"} & set(shown)


def test_a_completed_video_has_the_source_s_fields() -> None:
    shown = _json(convert.video(COMPLETED, LINKS))
    assert (shown["generation_time_ms"], shown["credits_used"]) == (45000, 2.0)
    assert shown["output"]["video_url"] == "https://cdn.example.com/videos/1.mp4?expires=60"
    assert (shown["output"]["resolution"], shown["output"]["file_size_bytes"]) == ("1920x1080", 52428800)
    assert {"thumbnail_url", "duration_seconds", "c2pa_manifest_url"} <= set(shown["output"])
    assert "audio_url" not in shown["output"]
    assert "refunded_credits" not in shown


def test_a_job_survives_the_way_to_the_stages() -> None:
    job = make_job(Status.GENERATING, artifacts={"latents": {"uri": "s3://b/k", "sha256": "0" * 64, "size_bytes": "5"}})
    message = messages.job(job)
    assert message.artifacts.latents.size_bytes == 5
    assert message.request.generation_config.seed == 42
    assert message.request.billing.cost_credits == "2.0"
    assert not message.request.billing.HasField("captured_credits")
    assert not message.HasField("lease_expires_at")


def test_a_terminal_event_settles_the_whole_price() -> None:
    event = Parse(events.state_changed(COMPLETED, Status.UPLOADING), job_events_pb2.JobStateChanged())
    settled = Decimal(event.settlement.captured_credits) + Decimal(event.settlement.refunded_credits)
    assert settled == Decimal(2)
    assert (event.rev, event.epoch, event.previous_status) == (7, 2, video_pb2.VIDEO_STATUS_UPLOADING)
    running = Parse(events.state_changed(make_job(Status.GENERATING), None), job_events_pb2.JobStateChanged())
    assert not running.HasField("settlement")


def test_the_queue_message_has_exactly_the_source_s_fields() -> None:
    told = json.loads(events.queued(make_job(Status.QUEUED)))
    assert set(told) == {
        "request_id", "user_id", "tier", "priority", "model", "prompt_embedding_path", "config", "enqueued_at",
    }  # fmt: skip
    assert set(told["config"]) == {"duration_seconds", "resolution", "num_steps", "enable_audio"}
    assert told["enqueued_at"] == "2026-01-28T10:30:25.000Z"


@pytest.mark.parametrize(
    ("status", "changes", "code"),
    [
        (Status.CANCELLED, {}, "CANCELLED"),
        (Status.BLOCKED, {"blocked_reason": "flashes"}, "CONTENT_BLOCKED"),
        (Status.FAILED, {"error_code": "GENERATION_TIMEOUT", "error_message": "m"}, "GENERATION_TIMEOUT"),
    ],
)
def test_every_end_without_a_result_is_an_error_event(status: Status, changes: dict[str, Any], code: str) -> None:
    assert error_event(make_job(status, **changes)).error_code == code


def test_progress_is_reported_at_a_websocket_of_the_same_security() -> None:
    assert LINKS.of_progress(COMPLETED).startswith("wss://a.example/v1/videos/550e8400-")
    assert Links(str, "http://a.example", 60).of_progress(COMPLETED).startswith("ws://a.example/")


def test_a_cdn_serves_deliverables_by_their_keys() -> None:
    shown = convert.video(COMPLETED, Links(str, "https://a.example", 60, "https://cdn.example/kinemesh/")).output
    assert shown.video_url == "https://cdn.example/kinemesh/videos/1.mp4"
    assert shown.audio_url == ""


def _json(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)
