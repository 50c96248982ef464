"""Fits logistic regressions on hashed features, by Adam on the whole set.

Legend: n examples, b buckets, c categories, f features of all examples one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from services.safety.domain import TEXT_CATEGORIES
from services.safety.text.classifier import BUCKETS, Array, features
from services.safety.text.normalise import readings
from services.safety.training.grammar import Example

_LEARNING_RATE = 0.15
_DECAY = 3e-6
_FIRST, _SECOND, _TINY = 0.9, 0.99, 1e-8


class Weights(NamedTuple):
    """What the classifier holds."""

    weights_bc: Array
    bias_c: Array


class _Batch:
    """Examples as one flat list of feature numbers, each weighted so that an example has unit length."""

    def __init__(self, examples: Sequence[Example]) -> None:
        found = [features(readings(example.text)[0]) for example in examples]
        lengths_n = np.array([len(buckets) for buckets in found])
        self.buckets_f = np.concatenate([np.array(buckets) for buckets in found])
        self.starts_n = np.concatenate([[0], np.cumsum(lengths_n)[:-1]])
        self.lengths_n = lengths_n
        self.scale_f1 = np.repeat(1 / np.sqrt(lengths_n), lengths_n)[:, None].astype(np.float32)
        labels = [[name in example.categories for name in TEXT_CATEGORIES] for example in examples]
        self.labels_nc = np.array(labels, np.float32)

    def probabilities(self, weights: Weights) -> Array:
        logits_nc = np.add.reduceat(weights.weights_bc[self.buckets_f] * self.scale_f1, self.starts_n) + weights.bias_c
        return np.asarray(1 / (1 + np.exp(-logits_nc)), np.float32)

    def gradient(self, weights: Weights) -> Weights:
        """Of the mean cross-entropy."""
        error_nc = (self.probabilities(weights) - self.labels_nc) / len(self.labels_nc)
        spread_fc = np.repeat(error_nc, self.lengths_n, axis=0) * self.scale_f1
        columns = [np.bincount(self.buckets_f, spread_c, BUCKETS) for spread_c in spread_fc.T]
        return Weights(np.stack(columns, 1).astype(np.float32), error_nc.sum(0))


def fit(examples: Sequence[Example], rounds: int = 250) -> Weights:
    """Returns the weights; the same examples give the same."""
    batch = _Batch(examples)
    weights = Weights(
        np.zeros((BUCKETS, len(TEXT_CATEGORIES)), np.float32), np.full(len(TEXT_CATEGORIES), -3, np.float32)
    )
    moments: list[Any] = [[np.zeros_like(part), np.zeros_like(part)] for part in weights]
    for turn in range(1, rounds + 1):
        gradient = batch.gradient(weights)
        decayed = (gradient.weights_bc + _DECAY * weights.weights_bc, gradient.bias_c)
        weights = Weights(
            *(_adam(part, slope, moment, turn) for part, slope, moment in zip(weights, decayed, moments, strict=True))
        )
    return weights


def accuracy(weights: Weights, examples: Sequence[Example], threshold: float = 0.7) -> float:
    """The share of examples whose every category lies on the right side of the threshold."""
    batch = _Batch(examples)
    right_nc = (batch.probabilities(weights) >= threshold) == (batch.labels_nc > 0)
    return float(right_nc.all(1).mean())


def _adam(part: Array, slope: Array, moment: list[Array], turn: int) -> Array:
    moment[0] = _FIRST * moment[0] + (1 - _FIRST) * slope
    moment[1] = _SECOND * moment[1] + (1 - _SECOND) * slope**2
    first, second = moment[0] / (1 - _FIRST**turn), moment[1] / (1 - _SECOND**turn)
    return np.asarray(part - _LEARNING_RATE * first / (np.sqrt(second) + _TINY), np.float32)
