"""Brings lips and voice together, and says how far they were apart (Algorithm 6: `align_lips`, `time_shift`).

The voice is on its plan to the sample, so the lips are compared with the plan: the cross-correlation of the opening
that is measured in the frames with the planned one. A clip with a face has its lips moved to the plan first; what
still remains moves the voice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triton_models.modeling.audio.sync import ENVELOPE_RATE_HZ, LEAST_CONFIDENCE, SHIFT_FROM_MS, find_optimal_offset

from .lips import LipRefiner
from .mouths import Frames, openings
from .phonemes import mouth
from .plan import SpeechPlan

Wave = NDArray[np.float32]
Track = NDArray[np.float64]

_LOUDNESS_S = 0.025


@dataclass(frozen=True, slots=True)
class LipReport:
    """How far voice and lips are apart. Positive: the voice is late."""

    offset_ms: float
    """In the frames as generated."""
    confidence: float
    """Height of the correlation's peak in the frames as generated, -1 to 1."""
    moved_lips_offset_ms: float
    """After the lips were moved to the plan."""
    moved_lips_confidence: float
    applied_shift_ms: float
    """By how much the voice was then moved; negative is earlier."""


def moved_lips(chunks: Iterable[Frames], refiner: LipRefiner, plan: SpeechPlan, fps: float) -> Iterator[Frames]:
    """A clip's consecutive frames with the lips of a face, if the first of them show one, moved to the plan."""
    done, face = 0, None
    for chunk in chunks:
        face = refiner.shows_face(chunk) if face is None else face
        times = (done + np.arange(len(chunk))) / fps
        yield refiner.refined(chunk, np.stack(mouth(plan.phonemes, times), axis=1)) if face else chunk
        done += len(chunk)


def compare(frames: Frames, refiner: LipRefiner, plan: SpeechPlan, fps: float) -> LipReport | None:
    """What is said of a generated clip's lips; None if it shows no face."""
    if not refiner.shows_face(frames):
        return None
    planned = mouth(plan.phonemes, np.arange(len(frames)) / fps)[0]
    moved = np.concatenate(list(moved_lips([frames], refiner, plan, fps)))
    before, confidence = offset_of(planned, openings(frames), fps)
    after, moved_confidence = offset_of(planned, openings(moved), fps)
    shift = -after if moved_confidence >= LEAST_CONFIDENCE and abs(after) >= SHIFT_FROM_MS else 0.0
    return LipReport(before, confidence, after, moved_confidence, shift)


def offset_of(sound_T: Track, opening_T: Track, fps: float) -> tuple[float, float]:
    """(offset in ms, confidence) of two tracks with a value for each frame; positive where the sound is late."""
    times = np.arange(0, len(opening_T) / fps, 1 / ENVELOPE_RATE_HZ)
    instants = np.arange(len(opening_T)) / fps
    return find_optimal_offset(np.interp(times, instants, sound_T), np.interp(times, instants, opening_T))


def loudness(voice_N: Wave, sample_rate: int, frames: int, fps: float) -> Track:
    """[frames] root mean square of the 25 ms around each frame: what a viewer can compare lips with."""
    reach = round(_LOUDNESS_S * sample_rate / 2)
    sums = np.concatenate([[0.0], np.cumsum(voice_N.astype(np.float64) ** 2)])
    at = np.round(np.arange(frames) / fps * sample_rate).astype(int)
    low, high = np.clip(at - reach, 0, len(voice_N)), np.clip(at + reach, 0, len(voice_N))
    power = np.maximum(sums[high] - sums[low], 0) / (2 * reach)
    level: Track = np.sqrt(power)
    return level


def shifted(voice_N: Wave, shift_ms: float, sample_rate: int) -> Wave:
    """The voice later, or earlier for a negative shift, with silence where nothing is left."""
    samples = round(shift_ms * sample_rate / 1000)
    moved = np.zeros_like(voice_N)
    if samples >= 0:
        moved[samples:] = voice_N[: len(voice_N) - samples]
    else:
        moved[:samples] = voice_N[-samples:]
    return moved
