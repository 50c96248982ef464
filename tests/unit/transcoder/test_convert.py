"""Requests into tasks."""

from __future__ import annotations

from typing import Any

import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.transcoder.v1 import transcoder_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.common.errors import InvalidArgument
from services.common.storage import ObjectRef
from services.transcoder import convert
from services.transcoder.domain import Delivery, Source


def request() -> pb.TranscodeVideoRequest:
    artifact = job_service_pb2.Artifact(uri="s3://mezzanine/a.mkv", sha256="a" * 64)
    config = video_pb2.GenerationConfig(
        model=video_pb2.MODEL_REFERENCE,
        duration_seconds=5,
        fps=24,
        resolution=video_pb2.RESOLUTION_480P,
        aspect_ratio="16:9",
    )
    return pb.TranscodeVideoRequest(
        request_id="550e8400-e29b-41d4-a716-446655440000", epoch=2, mezzanine=artifact, config=config
    )


def test_a_request_becomes_a_task() -> None:
    task = convert.to_task(request())
    assert task.delivery == Delivery(854, 480, 24, 120)
    assert task.mezzanine == Source(ObjectRef("mezzanine", "a.mkv"), "a" * 64)
    assert (task.model, task.audio, task.epoch) == ("REFERENCE", None, 2)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("request_id", "../../etc"),
        ("request_id", "550E8400-E29B-41D4-A716-446655440000"),
        ("epoch", -1),
        ("mezzanine.uri", "http://elsewhere/a.mkv"),
        ("mezzanine.sha256", "A" * 64),
        ("config.resolution", 0),
        ("config.resolution", 99),
        ("config.aspect_ratio", "21:9"),
        ("config.fps", 25),
        ("config.duration_seconds", 0),
        ("config.duration_seconds", 61),
        ("config.duration_seconds", float("nan")),
        ("config.model", 0),
        ("config.model", 77),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object) -> None:
    wrong = request()
    *parents, field = path.split(".")
    target: Any = wrong
    for parent in parents:
        target = getattr(target, parent)
    setattr(target, field, value)
    with pytest.raises(InvalidArgument) as refusal:
        convert.to_task(wrong)
    assert [violation.field for violation in refusal.value.violations] == [path]
