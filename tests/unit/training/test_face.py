import numpy as np
import pytest
from numpy.typing import NDArray

from triton_models.training.world import speech
from triton_models.training.world.face import mouth_box, mouth_track
from triton_models.training.world.motion import SPEECH_START_S, Frame, events
from triton_models.training.world.render import render
from triton_models.training.world.scene import SPEAKERS, Face, Scene

WIDE = Frame.from_pixels(112, 64)


def talking(word: str, speaker: str = "man") -> Scene:
    return Scene("grey", (), 1, face=Face(word, speaker, "brown", 0.2))


def dark_mouth(scene: Scene, times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pixels of the inside of the mouth at each instant."""
    box = (mouth_box(times, WIDE) * 64).round().astype(int)
    frames = [render(scene, 1, 12, 112, 64, start_s=float(at))[0] for at in times]
    cuts = [frame[top:bottom, left:right] for frame, (left, top, right, bottom) in zip(frames, box, strict=True)]
    return np.array([(cut.max(-1) < 100).sum() for cut in cuts])


def test_every_speaker_has_a_voice() -> None:
    assert len(speech.VOICES) == len(SPEAKERS)


@pytest.mark.parametrize(("word", "speaker"), [("hello", "man"), ("banana", "woman"), ("morning", "child")])
def test_the_mouth_opens_while_the_word_is_said_and_only_then(word: str, speaker: str) -> None:
    scene, times = talking(word, speaker), np.arange(0, 3, 0.02)
    phonemes = speech.utterance(word, SPEAKERS.index(speaker)).phonemes
    begin, end = SPEECH_START_S + phonemes[0].start_s, SPEECH_START_S + phonemes[-1].end_s
    aperture = mouth_track(scene, times).aperture
    assert aperture.max() > 0.5
    assert np.all(aperture[(times < begin - 0.1) | (times > end + 0.1)] == 0)


def test_what_is_drawn_is_the_track() -> None:
    scene, times = talking("hello"), np.arange(0.3, 1.5, 0.05)
    seen = dark_mouth(scene, times)
    assert np.corrcoef(seen, mouth_track(scene, times).aperture)[0, 1] > 0.8


def test_the_mouth_stays_in_its_box() -> None:
    times = np.linspace(0, 4, 60)
    left, top, right, bottom = mouth_box(times, WIDE).T
    assert np.all((left > 0) & (top > 0) & (right < WIDE.width) & (bottom < WIDE.height))
    assert np.ptp(right - left) < 1e-9


def test_the_word_is_heard_where_the_clip_has_it() -> None:
    (said,) = events(talking("hello", "woman"), 3.0, WIDE).speech
    assert (said.word, said.voice, said.start_s) == ("hello", 1, SPEECH_START_S)
    assert events(talking("hello"), 2.0, WIDE, start_s=1.0).speech[0].start_s == pytest.approx(SPEECH_START_S - 1)
    assert events(talking("hello"), 0.5, WIDE).speech == ()


def test_only_faces_have_mouths() -> None:
    with pytest.raises(ValueError, match="no mouth"):
        mouth_track(Scene("grey", (), 1), np.zeros(1))
