"""A simple music bed: a score's chords as a soft pad, broken into plucked eighths."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from triton_models.modeling.audio.score import PLUCK_DECAY_S, Score

from .sound_noise import Signal, add_at, decay, panned

_A3_HZ = 220.0


def music_bed(score: Score, samples: int, rate: int) -> Signal:
    """Stereo [2, N] at an RMS near one."""
    bed = np.zeros((2, samples))
    bar_s, eighth_s = 4 * score.beat_s, score.beat_s / 2
    for bar in range(int(np.ceil(samples / rate / bar_s))):
        add_at(bed, _pad(map(_hertz, score.chord(bar)), bar_s, rate), int(bar * bar_s * rate))
        for eighth in range(8 * bar, 8 * bar + 8):
            note = panned(_pluck(2 * _hertz(score.pluck(eighth)), rate), 0.5 * (-1) ** eighth)
            add_at(bed, note, int(eighth * eighth_s * rate))
    return bed


def _hertz(semitone: int) -> float:
    return float(_A3_HZ * 2 ** (semitone / 12))


def _pad(chord_hz: Iterable[float], length_s: float, rate: int) -> Signal:
    samples = int(length_s * rate)
    t = np.arange(samples) / rate
    edge = np.minimum(1, np.minimum(t, length_s - t) / 0.12)
    voices = sum(np.sin(2 * np.pi * f * t) + 0.3 * np.sin(4 * np.pi * f * t) for f in chord_hz)
    return panned(0.7 * edge * np.asarray(voices), 0.0)


def _pluck(pitch_hz: float, rate: int) -> Signal:
    samples = int(0.5 * rate)
    t = np.arange(samples) / rate
    tone = np.sin(2 * np.pi * pitch_hz * t) + 0.4 * np.sin(4 * np.pi * pitch_hz * t)
    pluck: Signal = 1.6 * tone * decay(samples, rate, 0.004, PLUCK_DECAY_S)
    return pluck
