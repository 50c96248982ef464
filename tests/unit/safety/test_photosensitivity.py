"""Flash rate and area, as ITU-R BT.1702 counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.safety.frames.photosensitivity import FlashMeter

ROWS, COLUMNS = 18, 32
BLACK, GREY, WHITE, RED = (0, 0, 0), (120, 120, 120), (255, 255, 255), (255, 0, 0)


def measure(
    colour_at: Callable[[float], tuple[int, int, int]], *, area: float = 1.0, fps: int = 24, seconds: float = 2
) -> FlashMeter:
    """The left part of the picture has the colour of its time, the rest is black."""
    meter = FlashMeter(ROWS, COLUMNS)
    for index in range(round(fps * seconds)):
        frame: Any = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        frame[:, : round(COLUMNS * area)] = colour_at(index / fps)
        meter.add(index / fps, frame)
    return meter


def flashing(rate_hz: float, low: tuple[int, int, int], high: tuple[int, int, int]) -> Callable[[float], Any]:
    return lambda time_s: high if (time_s * rate_hz) % 1 < 0.5 else low


def test_six_flashes_a_second_are_harmful() -> None:
    meter = measure(flashing(6, BLACK, WHITE))
    assert (meter.worst_area, meter.score) == (1.0, 1.0)


@pytest.mark.parametrize("rate_hz", [1.0, 2.0, 2.9])
def test_three_flashes_a_second_are_allowed(rate_hz: float) -> None:
    assert measure(flashing(rate_hz, BLACK, WHITE), fps=60).score == 0


def test_a_quarter_of_the_picture_is_the_limit() -> None:
    assert measure(flashing(6, BLACK, WHITE), area=0.2).score < 0.5
    assert measure(flashing(6, BLACK, WHITE), area=0.3).score > 0.5


def test_small_changes_do_not_count() -> None:
    assert measure(flashing(6, (100, 100, 100), (118, 118, 118))).score == 0
    assert measure(flashing(6, (100, 100, 100), (160, 160, 160))).score == 1


def test_changes_between_bright_pictures_do_not_count() -> None:
    # Both are above 160 cd/m².
    assert measure(flashing(6, (236, 236, 236), WHITE)).score == 0


def test_a_gradual_change_counts_once() -> None:
    def triangle(time_s: float) -> tuple[int, int, int]:
        level = round(255 * abs((2 * time_s) % 2 - 1))
        return (level, level, level)

    assert measure(triangle, fps=60, seconds=4).score == 0


def test_gradual_changes_that_come_too_often_are_harmful() -> None:
    def wave(time_s: float) -> tuple[int, int, int]:
        level = round(127 + 127 * np.sin(2 * np.pi * 6 * time_s))
        return (level, level, level)

    assert measure(wave, fps=60).score == 1


def test_saturated_red_is_harmful_where_its_luminance_is_not() -> None:
    # Red of 140 and 230 against a grey of nearly the same luminance.
    red, grey = (160, 0, 0), (84, 84, 84)
    assert measure(flashing(6, grey, red)).score == 1
    assert measure(flashing(6, grey, (84, 84, 90))).score == 0


def test_a_single_cut_is_no_flash() -> None:
    assert measure(lambda time_s: BLACK if time_s < 1 else WHITE).score == 0


def test_flashes_must_come_within_one_second() -> None:
    """Four flashes, each 0.4 s after the one before, are no more than three in any second."""
    assert measure(flashing(2.5, BLACK, GREY), seconds=4).score == 0
