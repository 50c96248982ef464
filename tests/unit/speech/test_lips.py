from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from triton_models.modeling.speech.lip_sync import compare, loudness, moved_lips, offset_of, shifted
from triton_models.modeling.speech.lips import LipRefiner, find_lip_refiner, places_in
from triton_models.modeling.speech.model import SpeechModel, load_speech_model
from triton_models.modeling.speech.mouths import Frames, mouth_area, openings
from triton_models.modeling.speech.phonemes import mouth
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.speech.edits import distance
from triton_models.training.world.face import mouth_track
from triton_models.training.world.render import render
from triton_models.training.world.scene import SPEAKERS, Face, Scene

FPS = 12.0
FACE = Scene("grey", (), 3, face=Face("mountain", "man", "brown", 0.3))


class EverybodyIsAFace(LipRefiner):
    def shows_face(self, _frames: Frames) -> bool:
        return True


class NobodyIsAFace(LipRefiner):
    def shows_face(self, _frames: Frames) -> bool:
        return False


@pytest.fixture
def refiner(speech_directory: Path) -> LipRefiner:
    found = find_lip_refiner(speech_directory)
    assert found is not None
    return found


@pytest.mark.parametrize(("width", "height"), [(112, 64), (64, 112), (80, 80), (224, 128)])
def test_the_opening_is_measured_at_every_size(width: int, height: int) -> None:
    times = np.arange(20) / FPS
    wanted = mouth_track(FACE, times).aperture
    assert np.abs(openings(render(FACE, 20, FPS, width, height)) - wanted).mean() < 0.06


def test_the_area_holds_the_mouth() -> None:
    closed = render(FACE, 1, FPS, 112, 64, 0.0)
    times = 0.6 + np.arange(8) / FPS
    speaking = render(FACE, 8, FPS, 112, 64, float(times[0]))
    area = mouth_area(64, 112)
    still = render(replace(FACE, face=Face("no", "man", "brown", 0.3)), 8, FPS, 112, 64, float(times[0]))
    changed = np.abs(speaking.astype(int) - still).max(axis=(0, 3)) > 8
    assert changed.any()
    assert changed[area.top : area.bottom, area.left : area.right].sum() == changed.sum()
    assert closed.shape == (1, 64, 112, 3)
    assert places_in(64, 112).shape == (2, area.bottom - area.top, area.right - area.left)


def test_only_the_mouth_is_repainted(refiner: LipRefiner) -> None:
    frames = render(FACE, 4, FPS, 112, 64)
    refined = refiner.refined(frames, np.full((4, 2), 0.5))
    area = mouth_area(64, 112)
    outside = np.ones((64, 112), bool)
    outside[area.top : area.bottom, area.left : area.right] = False
    assert np.array_equal(refined[:, outside], frames[:, outside])
    assert not np.array_equal(refined, frames)
    assert np.array_equal(refined, refiner.refined(frames, np.full((4, 2), 0.5)))


def test_chunks_are_refined_as_the_whole_clip_is(refiner: LipRefiner, voice: SpeechModel) -> None:
    plan = voice.plan_text("hello mom", 0, 2)
    assert plan is not None
    face = EverybodyIsAFace(refiner.faces, refiner.lips)
    frames = render(FACE, 24, FPS, 112, 64)
    whole = np.concatenate(list(moved_lips([frames], face, plan, FPS)))
    chunked = np.concatenate(list(moved_lips([frames[:13], frames[13:17], frames[17:]], face, plan, FPS)))
    assert np.array_equal(whole, chunked)


def test_frames_without_a_face_stay_untouched(refiner: LipRefiner, voice: SpeechModel) -> None:
    plan = voice.plan_text("hello", 0, 2)
    assert plan is not None
    nobody = NobodyIsAFace(refiner.faces, refiner.lips)
    frames = render(FACE, 24, FPS, 112, 64)
    assert next(moved_lips([frames], nobody, plan, FPS)) is frames
    assert compare(frames, nobody, plan, FPS) is None


def test_a_directory_without_lips(tmp_path: Path) -> None:
    assert find_lip_refiner(tmp_path) is None


@pytest.mark.parametrize("late_ms", [-150, -40, 0, 60, 200])
def test_the_offset_of_voice_and_lips_is_measured(late_ms: int) -> None:
    """The voice: noise whose loudness is the mouth's opening at 12 frames a second, but later."""
    fine = np.arange(2 * 24_000) / 24_000
    opening = mouth_track(FACE, fine - late_ms / 1000).aperture
    voice = (opening * np.random.default_rng(0).standard_normal(len(fine))).astype(np.float32)
    heard = loudness(voice, 24_000, 24, FPS)
    offset_ms, confidence = offset_of(heard, mouth_track(FACE, np.arange(24) / FPS).aperture, FPS)
    assert offset_ms == pytest.approx(late_ms, abs=20)
    assert confidence > 0.7


def test_a_shift_moves_the_voice_and_keeps_its_length() -> None:
    voice = np.arange(1, 101, dtype=np.float32)
    later, earlier = shifted(voice, 10, 1000), shifted(voice, -10, 1000)
    assert later[:10].tolist() == [0] * 10
    assert later[10] == 1
    assert (earlier[0], earlier[-1], len(earlier)) == (11, 0, 100)
    assert np.array_equal(shifted(voice, 0, 1000), voice)


@pytest.mark.parametrize(
    ("wanted", "given", "edits"), [("a b c", "a c", 1), ("", "a", 1), ("a", "a", 0), ("a b", "c d", 2)]
)
def test_edits(wanted: str, given: str, edits: int) -> None:
    assert distance(wanted.split(), given.split()) == edits


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_the_shipped_lips_follow_the_plan(speaker: str) -> None:
    face = replace(FACE, face=Face("hello", speaker, "red", 0.5))
    silent = render(face, 36, FPS, 112, 64, start_s=10.0)
    voice, lips = load_speech_model(REFERENCE), find_lip_refiner(REFERENCE)
    assert lips is not None
    plan = voice.plan_text("good morning everybody", SPEAKERS.index(speaker), 3.0)
    assert plan is not None
    moved = np.concatenate(list(moved_lips([silent], lips, plan, FPS)))
    offset_ms, confidence = offset_of(mouth(plan.phonemes, np.arange(36) / FPS)[0], openings(moved), FPS)
    assert openings(silent).max() < 0.1
    assert abs(offset_ms) < 60
    assert confidence > 0.8
