from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from triton_models.modeling.audio.cues import AudioFlags
from triton_models.training.audio.measures import level_db, onset_offsets_ms, tonality
from triton_models.training.world.scene import AMBIENCES, EVENT_RATE_HZ, Impact, SceneEvents
from triton_models.training.world.sound import SAMPLE_RATE, scene_sound

QUIET = AudioFlags(include_ambient=False)


def heard(*impacts: Impact, ambience: tuple[str, ...] = (), motion: str = "none", seconds: float = 4.0) -> SceneEvents:
    length = round(seconds * EVENT_RATE_HZ)
    energy = np.full(length, 0.5 if motion != "none" else 0.0, np.float32)
    return SceneEvents(seconds, impacts, energy, np.linspace(-1, 1, length, dtype=np.float32), motion, ambience)


def hit(time_s: float, radius: float = 0.15, surface: str = "grass") -> Impact:
    return Impact(time_s, 0.9, radius, 0.0, surface)


def centroid_hz(wave: NDArray[np.float32]) -> float:
    power = np.abs(np.fft.rfft(wave.mean(axis=0))) ** 2
    return float((power * np.fft.rfftfreq(wave.shape[1], 1 / SAMPLE_RATE)).sum() / power.sum())


def test_the_same_seed_gives_the_same_samples() -> None:
    events = heard(hit(1), ambience=AMBIENCES, motion="whoosh")
    flags = AudioFlags(include_music=True)
    np.testing.assert_array_equal(scene_sound(events, flags, 5), scene_sound(events, flags, 5))
    assert not np.array_equal(scene_sound(events, flags, 5), scene_sound(events, flags, 6))


@pytest.mark.parametrize("seconds", [0.5, 3.01, 7.0])
def test_the_length_is_exact_and_the_level_safe(seconds: float) -> None:
    wave = scene_sound(heard(ambience=AMBIENCES, seconds=seconds), AudioFlags(include_music=True), 1)
    assert wave.shape == (2, round(seconds * SAMPLE_RATE))
    assert np.abs(wave).max() < 1


@pytest.mark.parametrize("ambience", ["wind", "rain", "birds"])
def test_impacts_are_heard_when_they_happen(ambience: str) -> None:
    times = [0.7, 1.9, 3.2]
    wave = scene_sound(heard(*(hit(at) for at in times), ambience=(ambience,)), AudioFlags(), 2)
    assert np.abs(onset_offsets_ms(wave, SAMPLE_RATE, times)).max() < 8


def test_small_objects_sound_higher() -> None:
    small, big = (scene_sound(heard(hit(1, radius)), QUIET, 3) for radius in (0.12, 0.21))
    assert centroid_hz(small) > 1.3 * centroid_hz(big)


def test_soft_ground_dulls_the_click() -> None:
    snow, floor = (scene_sound(heard(hit(1, surface=place)), QUIET, 3) for place in ("snow", "grey"))
    assert centroid_hz(floor) > 1.2 * centroid_hz(snow)


def test_motion_is_heard_where_the_object_is() -> None:
    wave = scene_sound(heard(motion="roll"), QUIET, 4)
    quarter = wave.shape[1] // 4
    left, right = wave[0].std(), wave[1].std()
    assert left == pytest.approx(right, rel=0.3)
    assert wave[0, :quarter].std() > 2 * wave[1, :quarter].std()
    assert wave[1, -quarter:].std() > 2 * wave[0, -quarter:].std()


def test_flags_switch_layers() -> None:
    events = heard(ambience=("rain",))
    assert level_db(scene_sound(events, QUIET, 1)) == -120
    assert level_db(scene_sound(events, AudioFlags(), 1)) > -40
    rain, music = (scene_sound(events, flags, 1) for flags in (AudioFlags(), AudioFlags(include_music=True)))
    assert tonality(music, SAMPLE_RATE) > tonality(rain, SAMPLE_RATE) + 1
