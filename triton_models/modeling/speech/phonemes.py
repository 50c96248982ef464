"""The sounds of speech, when they are said, and what a mouth does for them.

The symbols are the 39 of ARPAbet as the CMU pronouncing dictionary writes them, without stress, and `SIL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SILENCE = "SIL"

VISEMES: dict[str, tuple[str, float, float]] = {
    SILENCE: ("rest", 0.0, 0.5),
    **dict.fromkeys(("B", "M", "P"), ("closed", 0.0, 0.45)),
    **dict.fromkeys(("F", "V"), ("teeth", 0.12, 0.5)),
    **dict.fromkeys(("TH", "DH"), ("tongue", 0.22, 0.5)),
    **dict.fromkeys(("T", "D", "N", "S", "Z", "L"), ("narrow", 0.2, 0.55)),
    **dict.fromkeys(("CH", "JH", "SH", "ZH"), ("pursed", 0.22, 0.25)),
    **dict.fromkeys(("K", "G", "NG", "HH", "Y"), ("back", 0.3, 0.5)),
    **dict.fromkeys(("R", "W"), ("round", 0.2, 0.1)),
    **dict.fromkeys(("IY", "IH", "EY"), ("wide", 0.5, 1.0)),
    **dict.fromkeys(("EH", "AE"), ("open_wide", 0.8, 0.8)),
    **dict.fromkeys(("AA", "AY", "AW"), ("open", 1.0, 0.6)),
    **dict.fromkeys(("AH", "ER"), ("half_open", 0.6, 0.5)),
    **dict.fromkeys(("AO", "OW", "OY"), ("open_round", 0.75, 0.2)),
    **dict.fromkeys(("UW", "UH"), ("small_round", 0.4, 0.0)),
}
"""Symbol to viseme, aperture (0 closed, 1 as open as it gets) and width (0 rounded, 1 spread)."""

PHONEMES: tuple[str, ...] = tuple(sorted(VISEMES))
"""Every symbol."""

BILABIALS = frozenset({"B", "M", "P"})
VOWELS = frozenset(symbol for symbol in PHONEMES if symbol[0] in "AEIOU")
SOUNDS: tuple[str, ...] = tuple(
    sound for symbol in PHONEMES for sound in ((f"{symbol}0", f"{symbol}1") if symbol in VOWELS else (symbol,))
)
"""The symbols, vowels twice: without (0) and with (1) stress. The place is the sound's number in the networks."""

_OPENING_S = 0.08
"""Seconds in which the resting mouth takes its first shape, and after the last takes rest again."""


@dataclass(frozen=True, slots=True)
class Phoneme:
    """One sound and when it is said."""

    symbol: str
    """One of PHONEMES."""
    start_s: float
    end_s: float
    stressed: bool = False
    """Whether it is the vowel that carries its word."""

    @property
    def sound(self) -> str:
        """The one of SOUNDS that it is."""
        return f"{self.symbol}{int(self.stressed)}" if self.symbol in VOWELS else self.symbol


def mouth(phonemes: Sequence[Phoneme], times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(aperture, width) of the mouth at each instant, both 0 to 1; at rest (0, 0.5) where nothing is said.

    Each sound holds its shape for the middle half of its time and glides to the next. Lips that must close are closed
    for the whole of their sound: a glide would leave them open at most instants of a slow picture.
    """
    if not phonemes:
        return np.zeros(len(times_s)), np.full(len(times_s), 0.5)
    knots = [(phonemes[0].start_s - _OPENING_S, *VISEMES[SILENCE][1:])]
    for phoneme in phonemes:
        shape = VISEMES[phoneme.symbol][1:]
        margin = (0.02 if phoneme.symbol in BILABIALS else 0.25) * (phoneme.end_s - phoneme.start_s)
        knots += [(phoneme.start_s + margin, *shape), (phoneme.end_s - margin, *shape)]
    knots.append((phonemes[-1].end_s + _OPENING_S, *VISEMES[SILENCE][1:]))
    at, aperture, width = np.array(knots).T
    return np.interp(times_s, at, aperture), np.interp(times_s, at, width)
