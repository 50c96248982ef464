"""Trains the classifier of the repository and says how good it is."""

from __future__ import annotations

import sys
from pathlib import Path

from services.safety.text.classifier import DEFAULT_WEIGHTS, save_weights
from services.safety.training.fit import accuracy, fit
from services.safety.training.grammar import Grammar

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_WEIGHTS
    grammar = Grammar.load()
    weights = fit(grammar.examples(16_000, seed=1))
    save_weights(target, *weights)
    sys.stdout.write(f"{target.name}: {accuracy(weights, grammar.examples(4_000, seed=2)):.4f} right of new phrases\n")
