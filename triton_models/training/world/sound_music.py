"""A simple music bed: a four-chord progression as a soft pad with a plucked arpeggio."""

from __future__ import annotations

import numpy as np

from .sound_noise import Signal, add_at, decay, panned

_PROGRESSIONS = (
    ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12)),
    ((0, 3, 7), (8, 12, 15), (3, 7, 10), (10, 14, 17)),
    ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)),
)
"""Chords in semitones above the key note: I-V-vi-IV, i-VI-III-VII, I-vi-IV-V."""


def music_bed(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """Stereo [2, N] at an RMS near one; key, progression and tempo are drawn from `rng`."""
    key_hz = 220 * 2 ** (rng.integers(-3, 4) / 12)
    beat_s = 60 / rng.uniform(80, 110)
    chords = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    bed = np.zeros((2, samples))
    for bar in range(int(np.ceil(samples / rate / (4 * beat_s)))):
        chord = [key_hz * 2 ** (semitone / 12) for semitone in chords[bar % 4]]
        start_s = bar * 4 * beat_s
        add_at(bed, _pad(chord, 4 * beat_s, rate), int(start_s * rate))
        for eighth in range(8):
            note = _pluck(2 * chord[(0, 1, 2, 1)[eighth % 4]], rate)
            add_at(bed, panned(note, 0.5 * (-1) ** eighth), int((start_s + eighth * beat_s / 2) * rate))
    return bed


def _pad(chord_hz: list[float], length_s: float, rate: int) -> Signal:
    samples = int(length_s * rate)
    t = np.arange(samples) / rate
    edge = np.minimum(1, np.minimum(t, length_s - t) / 0.12)
    voices = sum(np.sin(2 * np.pi * f * t) + 0.3 * np.sin(4 * np.pi * f * t) for f in chord_hz)
    return panned(0.7 * edge * np.asarray(voices), 0.0)


def _pluck(pitch_hz: float, rate: int) -> Signal:
    samples = int(0.5 * rate)
    t = np.arange(samples) / rate
    tone = np.sin(2 * np.pi * pitch_hz * t) + 0.4 * np.sin(4 * np.pi * pitch_hz * t)
    pluck: Signal = 1.6 * tone * decay(samples, rate, 0.004, 0.12)
    return pluck
