"""Sizes, frame counts and names."""

from __future__ import annotations

from fractions import Fraction

import pytest

from services.transcoder.domain import Delivery, object_key, plan_delivery
from services.transcoder.media.source import source_index


@pytest.mark.parametrize(
    ("resolution", "aspect_ratio", "size"),
    [
        ("480P", "16:9", (854, 480)),
        ("480P", "9:16", (480, 854)),
        ("480P", "1:1", (480, 480)),
        ("480P", "4:3", (640, 480)),
        ("720P", "16:9", (1280, 720)),
        ("720P", "4:3", (960, 720)),
        ("1080P", "16:9", (1920, 1080)),
        ("1080P", "9:16", (1080, 1920)),
        ("4K", "16:9", (3840, 2160)),
        ("4K", "1:1", (2160, 2160)),
    ],
)
def test_the_resolution_names_the_short_side(resolution: str, aspect_ratio: str, size: tuple[int, int]) -> None:
    delivery = plan_delivery(resolution, aspect_ratio, 24, 5)
    assert (delivery.width, delivery.height) == size


def test_the_length_is_whole_frames() -> None:
    assert plan_delivery("480P", "1:1", 24, 5.03) == Delivery(480, 480, 24, 121)
    assert plan_delivery("480P", "1:1", 60, 5).duration_s == 5.0


@pytest.mark.parametrize("arguments", [("8K", "16:9"), ("480P", "21:9")])
def test_other_formats_are_unknown(arguments: tuple[str, str]) -> None:
    with pytest.raises(KeyError):
        plan_delivery(*arguments, 24, 5)


def test_frames_are_repeated_evenly_and_dropped_evenly() -> None:
    assert [source_index(index, 24, Fraction(12)) for index in range(6)] == [0, 0, 1, 1, 2, 2]
    assert [source_index(index, 30, Fraction(12)) for index in range(6)] == [0, 0, 0, 1, 1, 2]
    assert [source_index(index, 24, Fraction(60)) for index in range(5)] == [0, 2, 5, 7, 10]
    assert source_index(24_000, 24, Fraction(24_000, 1001)) == 23_976


def test_a_name_says_job_epoch_and_content() -> None:
    assert object_key("videos", "r", 3, "0123456789abcdef", "mp4") == "videos/r.3.01234567.mp4"
