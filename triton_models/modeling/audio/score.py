"""The notes of a music bed: drawn from a seed, and played by the audio transformer.

A transformer that hears one second around it cannot keep a key, a chord or a beat for a minute. The score can: four
chords in turn, one a bar, held by a pad and broken into plucked eighths an octave higher.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_PROGRESSIONS = (
    ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12)),
    ((0, 3, 7), (8, 12, 15), (3, 7, 10), (10, 14, 17)),
    ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)),
)
"""Chords in semitones above the key note: I-V-vi-IV, i-VI-III-VII, I-vi-IV-V."""

_KEYS = range(-3, 4)
"""Key notes in semitones from A3 (220 Hz)."""
_NOTES = range(_KEYS[0], _KEYS[-1] + 18)
"""Every note that a pad can hold, in semitones from A3."""
PLUCK_DECAY_S = 0.12
ROLL_CHANNELS = 2 * len(_NOTES)


@dataclass(frozen=True)
class Score:
    """What is played; it goes on for ever."""

    key: int
    """Semitones from A3."""
    beat_s: float
    chords: tuple[tuple[int, int, int], ...]
    """One a bar of four beats, in semitones above the key; after the last comes the first."""

    def chord(self, bar: int) -> tuple[int, ...]:
        """The notes of a bar's pad in semitones from A3."""
        return tuple(self.key + note for note in self.chords[bar % len(self.chords)])

    def pluck(self, eighth: int) -> int:
        """The note, an octave below what sounds, plucked at `eighth` halves of a beat from the start."""
        return self.chord(eighth // 8)[(0, 1, 2, 1)[eighth % 4]]


def compose(rng: np.random.Generator) -> Score:
    """Draws key, tempo (80 to 110 beats a minute) and progression."""
    key = int(rng.integers(_KEYS.start, _KEYS.stop))
    return Score(key, 60 / rng.uniform(80, 110), _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))])


def piano_roll(score: Score | None, seconds_L: Tensor) -> Tensor:
    """[L, ROLL_CHANNELS] of what sounds at each instant: the pad's notes, then the last pluck, fading; zeros without.

    The fading tells how long ago the string was plucked, finer than tokens are apart.
    """
    roll = torch.zeros(len(seconds_L), 2, len(_NOTES))
    if score is None:
        return roll.flatten(1)
    for row, second in zip(roll, seconds_L.tolist(), strict=True):
        eighth, since = divmod(second, score.beat_s / 2)
        row[0, [note - _NOTES[0] for note in score.chord(int(eighth) // 8)]] = 1
        row[1, score.pluck(int(eighth)) - _NOTES[0]] = np.exp(-since / PLUCK_DECAY_S)
    return roll.flatten(1)
