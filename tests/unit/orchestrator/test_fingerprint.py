"""When requests are the same."""

from __future__ import annotations

from typing import Any

import pytest

from kinemesh.video.v1 import video_service_pb2 as pb
from services.orchestrator.domain.fingerprint import fingerprint


def of(**fields: Any) -> bytes:
    return fingerprint(pb.CreateVideoRequest(**{"prompt": "a lake", **fields}))


def test_twins_in_other_normal_forms_are_the_same_request() -> None:
    assert of(prompt="caf\u00e9") == of(prompt="cafe\u0301")


@pytest.mark.parametrize(
    ("some", "others"),
    [
        ({}, {"fps": 24, "model": "standard", "resolution": "1080p", "duration_seconds": 5.0, "priority": 100}),
        ({"tier": "cinema"}, {"model": "CINEMA"}),
        ({"tier": "cinema"}, {"model": "CINEMA", "tier": "cinema"}),
        ({"model": "reference"}, {"model": "REFERENCE", "tier": "standard"}),
        (
            {"reference_video": "https://a.example/v"},
            {"reference_video": "https://a.example/v", "reference_strength": 0.7},
        ),
        ({"enable_audio": True}, {"enable_audio": True, "audio_config": {"include_ambient": True}}),
    ],
)
def test_defaults_of_the_api_spelled_out_are_the_same_request(some: dict[str, Any], others: dict[str, Any]) -> None:
    assert of(**some) == of(**others)


def test_changes_are_other_requests_also_where_the_catalogue_has_the_same_default() -> None:
    changes: list[dict[str, Any]] = [
        {"fps": 30}, {"seed": 1}, {"prompt": "a sea"}, {"webhook_url": "https://a.example/"},
        {"first_frame_image": b"a"}, {"first_frame_image": b"b"}, {"style_preset": "night"},
        {"reference_video": "https://a.example/v"}, {"reference_video": "https://a.example/v", "reference_strength": 1},
        {"num_inference_steps": 50}, {"guidance_scale": 7.5}, {"model": "reference"}, {"enable_audio": True},
        {"model": "standard", "tier": "cinema"}, {"model": "standard", "tier": "nonsense"},
    ]  # fmt: skip
    assert len({of(), *(of(**change) for change in changes)}) == 1 + len(changes)


def test_the_request_itself_stays_as_it_was_sent() -> None:
    request = pb.CreateVideoRequest(prompt="a lake", enable_audio=True)
    fingerprint(request)
    assert request == pb.CreateVideoRequest(prompt="a lake", enable_audio=True)
