"""Words, how often they are said and how they sound: the pronouncing dictionary and language model of pocketsphinx.

The dictionary (CMU, BSD) is without stress; which vowel carries the word comes from eSpeak wherever both hear the same
number of vowels.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pocketsphinx

from triton_models.modeling.speech.phonemes import VOWELS
from triton_models.training.world.speech import stresses

_MODEL = "en-us/en-us.lm.bin"
_DICTIONARY = "en-us/cmudict-en-us.dict"
_HELD_OUT_OF = 20
_RAREST = -20.0


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the dictionary."""

    text: str
    sounds: tuple[str, ...]
    log_frequency: float
    """Natural logarithm of its share in running text; rare words share one low value."""

    @property
    def held_out(self) -> bool:
        """Whether no network may learn from it: one word of twenty, by its letters."""
        return zlib.crc32(self.text.encode()) % _HELD_OUT_OF == 0


@cache
def dictionary() -> tuple[Word, ...]:
    """Every word of plain letters, with its first pronunciation; takes some ten seconds."""
    frequencies = pocketsphinx.NGramModel.readfile(pocketsphinx.get_model_path(_MODEL))
    lines = Path(pocketsphinx.get_model_path(_DICTIONARY)).read_text().splitlines()
    entries = [line.split() for line in lines]
    plain = [(text, symbols) for text, *symbols in entries if re.fullmatch(r"[a-z][a-z']*", text)]
    marks = stresses([text for text, _ in plain])
    return tuple(
        Word(text, _with_stress(symbols, stressed), max(1e-4 * frequencies.prob([text]), _RAREST))
        for (text, symbols), stressed in zip(plain, marks, strict=True)
    )


def _with_stress(symbols: list[str], stressed: list[bool]) -> tuple[str, ...]:
    """The first vowel is stressed where eSpeak hears another number of vowels."""
    vowels = sum(symbol in VOWELS for symbol in symbols)
    marks = iter(stressed if len(stressed) == vowels else [place == 0 for place in range(vowels)])
    return tuple(f"{symbol}{int(next(marks))}" if symbol in VOWELS else symbol for symbol in symbols)
