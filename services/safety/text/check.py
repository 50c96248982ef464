"""The check of a prompt: the worse of rules and classifier, category by category."""

from __future__ import annotations

from services.safety.domain import Scores
from services.safety.text.classifier import TextClassifier
from services.safety.text.normalise import readings
from services.safety.text.rules import RuleBook


class TextCheck:
    """Scores prompts; takes about a millisecond."""

    def __init__(self, rules: RuleBook, classifier: TextClassifier) -> None:
        self._rules = rules
        self._classifier = classifier
        self.version = f"rules-{rules.version}+text-{classifier.digest}"

    def __call__(self, prompt: str) -> Scores:
        """Scores every text category, 0 to 1."""
        found = readings(prompt)
        by_rules, by_classifier = self._rules.score(found), self._classifier.score(found[0])
        return {name: max(score, by_classifier[name]) for name, score in by_rules.items()}
