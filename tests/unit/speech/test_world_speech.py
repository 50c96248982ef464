from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from triton_models.modeling.speech.phonemes import VISEMES, VOWELS, Phoneme, mouth
from triton_models.training.world import speech


@pytest.mark.parametrize("voice", range(len(speech.VOICES)))
def test_every_word_can_be_heard_and_its_sounds_lie_within_it(voice: int) -> None:
    for word in speech.WORDS:
        said = speech.utterance(word, voice)
        starts = [phoneme.start_s for phoneme in said.phonemes]
        assert said.samples.dtype == np.float32
        assert np.abs(said.samples).max() == pytest.approx(0.9, abs=1e-3)
        assert starts == sorted(starts)
        assert said.phonemes[-1].end_s <= len(said.samples) / speech.SAMPLE_RATE + 0.02
        assert any(phoneme.symbol in VOWELS for phoneme in said.phonemes), word


def test_the_sounds_of_hello() -> None:
    assert [phoneme.symbol for phoneme in speech.utterance("hello", 0).phonemes] == ["HH", "AH", "L", "OW"]


def test_vowels_are_louder_than_the_silence_around_the_word() -> None:
    said = speech.utterance("morning", 1)
    vowel = next(phoneme for phoneme in said.phonemes if phoneme.symbol == "AO")
    inside = said.samples[int(vowel.start_s * 24_000) : int(vowel.end_s * 24_000)]
    assert np.sqrt((inside**2).mean()) > 0.1


def test_another_process_says_the_same_samples_whatever_was_said_before() -> None:
    speech.speak("something else entirely", speech.VOICES[1])
    here = hashlib.sha256(speech.speak("hello", speech.VOICES[0]).samples.tobytes()).hexdigest()
    code = (
        "import hashlib; from triton_models.training.world import speech as s; "
        "print(hashlib.sha256(s.speak('hello', s.VOICES[0]).samples.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_the_voices_differ_in_pitch() -> None:
    def pitch_hz(voice: int) -> float:
        vowel = speech.utterance("no", voice).samples[5000:9096].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(vowel, 1 << 16)) ** 2
        correlation = np.fft.irfft(spectrum)
        lags = slice(24_000 // 330, 24_000 // 70)
        return 24_000 / float(correlation[lags].argmax() + lags.start)

    man, woman, child = (pitch_hz(voice) for voice in range(3))
    assert man < woman < child


def test_lips_close_for_bilabials_and_open_for_vowels() -> None:
    said = (Phoneme("M", 0.5, 0.6), Phoneme("AA", 0.6, 0.9), Phoneme("P", 0.9, 0.98), Phoneme("AO", 0.98, 1.2))
    aperture, width = mouth(said, np.array([0.0, 0.52, 0.55, 0.75, 0.94, 1.09, 2.0]))
    assert aperture.tolist() == pytest.approx([0, 0, 0, 1, 0, VISEMES["AO"][1], 0])
    assert width[0] == width[-1] == 0.5
    assert width[5] < 0.3


def test_a_mouth_that_says_nothing_rests() -> None:
    aperture, width = mouth((), np.linspace(0, 1, 5))
    assert not aperture.any()
    assert (width == 0.5).all()
