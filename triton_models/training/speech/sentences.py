"""What the voice learns to say: sentences of the dictionary's words, common ones more often, in no order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .words import Word, dictionary

_COMMON, _KNOWN = -12.0, -16.0
"""Log frequency from which a word is common (some 7,000 are), or at all known."""


def random_sentences(count: int, seed: int) -> list[str]:
    """Sentences of one to seven words, with commas; the same seed gives the same ones."""
    rng = np.random.default_rng([7, seed])
    words = dictionary()
    shelves = [[word for word in words if word.log_frequency > least] for least in (_COMMON, _KNOWN, -np.inf)]
    return [_sentence(rng, shelves) for _ in range(count)]


def random_phrases(count: int, seed: int) -> list[str]:
    """Phrases of two to five common words that no sentence of training has, for recognition."""
    rng = np.random.default_rng([11, seed])
    common = [word.text for word in dictionary() if word.log_frequency > _COMMON and len(word.sounds) > 2]
    return [" ".join(rng.choice(common, rng.integers(2, 6), replace=False)) for _ in range(count)]


def _sentence(rng: np.random.Generator, shelves: Sequence[Sequence[Word]]) -> str:
    texts = []
    for _ in range(rng.integers(1, 8)):
        shelf = shelves[rng.choice(3, p=(0.6, 0.3, 0.1))]
        texts.append(shelf[rng.integers(len(shelf))].text + ("," if rng.random() < 0.12 else ""))
    return " ".join(texts).rstrip(",") + "."
