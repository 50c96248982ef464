import numpy as np
import pytest
from numpy.typing import NDArray

from triton_models.modeling.audio.cues import AudioFlags
from triton_models.training.world import speech
from triton_models.training.world.motion import SPEECH_START_S, Frame, events
from triton_models.training.world.scene import AMBIENCES, Actor, Face, Scene
from triton_models.training.world.sound import SAMPLE_RATE, scene_sound
from triton_models.training.world.sound_ambience import AMBIENCES as MAKERS

WIDE = Frame.from_pixels(112, 64)
QUIET = AudioFlags(include_ambient=False)
TALKING = Scene("black", (), 1, face=Face("hello", "woman", "brown", 0.2))


def level(wave: NDArray[np.float32], begin_s: float, end_s: float) -> float:
    return float(np.abs(wave[:, round(begin_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]).mean())


def peak_hz(wave: NDArray[np.float32], begin_s: float, end_s: float) -> float:
    part = wave.mean(0)[round(begin_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    return float(np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() / (end_s - begin_s))


def test_every_ambience_can_be_made() -> None:
    assert set(MAKERS) == set(AMBIENCES)


@pytest.mark.parametrize("name", AMBIENCES)
def test_ambiences_are_stereo_lasting_and_deterministic(name: str) -> None:
    first, again, other = (MAKERS[name](np.random.default_rng(seed), 48_000, SAMPLE_RATE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2, 48_000)
    assert not np.allclose(first, other)
    assert not np.allclose(first[0], first[1])
    assert 0.2 < first.std() < 1.5
    assert min(part.std() for part in np.array_split(first, 8, axis=1)) > 0.05


def test_ambiences_sound_different() -> None:
    bands = np.geomspace(40, 12_000, 25)
    profiles = []
    for name in AMBIENCES:
        power = np.abs(np.fft.rfft(MAKERS[name](np.random.default_rng(3), 96_000, SAMPLE_RATE).mean(0))) ** 2
        shares, _ = np.histogram(np.fft.rfftfreq(96_000, 1 / SAMPLE_RATE), bands, weights=power / power.sum())
        profiles.append(shares)
    apart = [np.abs(a - b).sum() / 2 for i, a in enumerate(profiles) for b in profiles[:i]]
    assert min(apart) > 0.25


def test_the_word_is_heard_at_its_time_and_only_if_asked_for() -> None:
    heard = events(TALKING, 3.0, WIDE)
    silent, spoken = (scene_sound(heard, flags, 1) for flags in (QUIET, AudioFlags(True, include_ambient=False)))
    assert np.abs(silent).max() == 0
    length_s = len(speech.utterance("hello", 1).samples) / SAMPLE_RATE
    assert level(spoken, SPEECH_START_S, SPEECH_START_S + length_s) > 0.01
    assert level(spoken, 0, SPEECH_START_S) == level(spoken, SPEECH_START_S + length_s + 0.01, 3) == 0


def test_a_word_begun_before_the_clip_is_cut() -> None:
    flags = AudioFlags(True, include_ambient=False)
    whole = scene_sound(events(TALKING, 3.0, WIDE), flags, 1)
    later = scene_sound(events(TALKING, 2.0, WIDE, start_s=1.0), flags, 1)
    np.testing.assert_array_equal(whole[:, SAMPLE_RATE:], later)


def test_speech_at_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="samples a second"):
        scene_sound(events(TALKING, 1.0, WIDE), AudioFlags(True), 1, rate=16_000)


def test_the_tone_of_a_growing_object_rises_and_ends_with_it() -> None:
    growing = Scene("black", (Actor("ball", "red", "medium", "grow", 6.4, 0.1, 0.0),), 1)
    wave = scene_sound(events(growing, 7.0, WIDE), QUIET, 1)
    pitches = [peak_hz(wave, at, at + 0.25) for at in (0.5, 2.0, 4.0)]
    assert pitches == sorted(pitches)
    assert pitches[-1] > 2 * pitches[0]
    assert level(wave, 5.2, 7) < 0.01 * level(wave, 1, 4)
