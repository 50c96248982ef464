"""A small classifier for what rules do not foresee: hashed n-grams and one logistic regression per category.

Features are those of fastText-like baselines: words, pairs of words and letter n-grams inside word brackets, each
hashed to one of 2^14 buckets, as a set of unit length. Legend: b buckets, c categories.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from services.safety.domain import TEXT_CATEGORIES

BUCKETS = 2**14
DEFAULT_WEIGHTS = Path(__file__).with_name("text_classifier.safetensors")
_GRAM_LENGTHS = (3, 4, 5)

Array = np.ndarray[Any, np.dtype[np.float32]]


class TextClassifier:
    """Scores a prompt's plain reading."""

    def __init__(self, weights_bc: Array, bias_c: Array, digest: str) -> None:
        self._weights_bc = weights_bc
        self._bias_c = bias_c
        self.digest = digest
        """First eight digits of the weights' sha256."""

    @classmethod
    def load(cls, path: Path) -> TextClassifier:
        """Reads weights (safetensors).

        Raises:
            ValueError: They are not for these buckets and categories.
            OSError: They cannot be read.
        """
        blob = path.read_bytes()
        tensors = load(blob)
        weights_bc, bias_c = (tensors[name].astype(np.float32) for name in ("weights", "bias"))
        if weights_bc.shape != (BUCKETS, len(TEXT_CATEGORIES)) or bias_c.shape != (len(TEXT_CATEGORIES),):
            raise ValueError(f"{path.name} holds weights of another shape")
        return cls(weights_bc, bias_c, hashlib.sha256(blob).hexdigest()[:8])

    def score(self, reading: str) -> Mapping[str, float]:
        """Returns the probability of each text category; the reading is lower-case words and single spaces."""
        buckets = features(reading)
        if not buckets:
            return dict.fromkeys(TEXT_CATEGORIES, 0.0)
        logits_c = self._weights_bc[buckets].sum(0) / np.sqrt(len(buckets)) + self._bias_c
        probabilities_c = 1 / (1 + np.exp(-logits_c))
        return {name: float(value) for name, value in zip(TEXT_CATEGORIES, probabilities_c, strict=True)}


def features(reading: str) -> list[int]:
    """Returns the distinct buckets of a reading, sorted."""
    return sorted({zlib.crc32(gram.encode()) % BUCKETS for gram in _grams(reading.split())})


def save_weights(path: Path, weights_bc: Array, bias_c: Array) -> None:
    """Writes weights in half precision."""
    tensors = {"weights": weights_bc.astype(np.float16), "bias": bias_c.astype(np.float16)}
    path.write_bytes(save(tensors))


def _grams(tokens: list[str]) -> Iterator[str]:
    for token in tokens:
        bracketed = f"<{token}>"
        yield f"w {token}"
        for length in _GRAM_LENGTHS:
            yield from (bracketed[i : i + length] for i in range(len(bracketed) - length + 1))
    yield from (f"p {first} {second}" for first, second in pairwise(tokens))
