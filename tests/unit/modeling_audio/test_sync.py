from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from triton_models.modeling.audio.sync import align, find_optimal_offset, onset_envelope, resampled, time_shift

RATE = 24_000
TRACK_HZ = 50.0
TIMES = (0.62, 1.31, 2.25, 3.4, 4.05)


def clicks(offset_s: float, noise: float = 0.02) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    wave = noise * rng.standard_normal((2, 5 * RATE))
    for at in TIMES:
        start = round((at + offset_s) * RATE)
        wave[:, start : start + 1200] += 0.6 * rng.standard_normal(1200) * np.exp(-np.arange(1200) / 300)
    return wave.astype(np.float32)


def picture() -> NDArray[np.float32]:
    t = (np.arange(250) + 0.5) / TRACK_HZ
    track: NDArray[np.float32] = np.sum([np.exp(-0.5 * ((t - at) / 0.02) ** 2) for at in TIMES], axis=0).astype(
        np.float32
    )
    return track


@pytest.mark.parametrize("offset_ms", [-200, -75, -10, 0, 15, 60, 120, 240])
def test_a_known_offset_is_found_within_ten_milliseconds(offset_ms: int) -> None:
    sound = onset_envelope(clicks(offset_ms / 1000), RATE)
    found, confidence = find_optimal_offset(sound, resampled(picture(), TRACK_HZ, len(sound)))
    assert found == pytest.approx(offset_ms, abs=10)
    assert confidence > 0.5


def test_a_late_sound_is_moved_and_both_offsets_are_reported() -> None:
    moved, report = align(clicks(0.12), RATE, picture(), TRACK_HZ)
    assert report.offset_ms == pytest.approx(120, abs=10)
    assert report.applied_shift_ms == -report.offset_ms
    assert abs(report.remaining_ms) < 10
    assert moved.shape == (2, 5 * RATE)
    assert not np.array_equal(moved, clicks(0.12))


@pytest.mark.parametrize("offset_s", [0.0, 0.012])
def test_a_sound_in_step_is_left_alone(offset_s: float) -> None:
    wave = clicks(offset_s)
    moved, report = align(wave, RATE, picture(), TRACK_HZ)
    assert moved is wave
    assert report.applied_shift_ms == 0


def test_a_picture_without_events_moves_nothing() -> None:
    wave = clicks(0.1)
    moved, report = align(wave, RATE, np.zeros(250, np.float32), TRACK_HZ)
    assert moved is wave
    assert (report.offset_ms, report.confidence) == (0, 0)


@pytest.mark.parametrize("samples", [-500, 0, 500])
def test_a_shift_keeps_the_length_and_moves_the_middle(samples: int) -> None:
    wave = clicks(0)
    moved = time_shift(wave, samples)
    assert moved.shape == wave.shape
    np.testing.assert_array_equal(moved[:, 1000:2000], wave[:, 1000 - samples : 2000 - samples])
