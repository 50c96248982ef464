"""Rules: lists of words and phrases, per category, with word boundaries and an allow-list.

A rule names one or more word sets. It matches when every one of them occurs, each within `within` words of the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.safety.domain import TEXT_CATEGORIES, Scores

DEFAULT_RULES = Path(__file__).with_name("rules.yaml")
_ALLOWED = " | "
"""Stands for an allowed phrase; no word matches it, and it keeps words apart."""


class Rule(BaseModel):
    """One reason to suspect a category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sets: tuple[str, ...] = Field(min_length=1)
    score: float = Field(gt=0, le=1)
    within: int = Field(default=12, ge=1)


class RuleFile(BaseModel):
    """The file of rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(max_length=24)
    allow: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, tuple[Rule, ...]]

    @model_validator(mode="after")
    def _names_exist(self) -> RuleFile:
        unknown = [*(set(self.rules) - set(TEXT_CATEGORIES))]
        unknown += [
            name for rules in self.rules.values() for rule in rules for name in rule.sets if name not in self.words
        ]
        if unknown:
            raise ValueError(f"unknown categories or word sets: {unknown}")
        return self


class RuleBook:
    """Compiled rules."""

    def __init__(self, file: RuleFile) -> None:
        self.version = file.version
        self._allowed = _pattern(file.allow)
        self._words = {name: _pattern(terms) for name, terms in file.words.items()}
        self._rules = file.rules

    @classmethod
    def load(cls, path: Path) -> RuleBook:
        """Reads a file of rules.

        Raises:
            ValueError: It is not valid; the text names the field.
            OSError: It cannot be read.
        """
        return cls(RuleFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))

    def score(self, readings: Iterable[str]) -> Scores:
        """Scores a prompt by its readings (lower-case words and single spaces)."""
        scores = dict.fromkeys(TEXT_CATEGORIES, 0.0)
        for reading in readings:
            text = self._allowed.sub(_ALLOWED, reading)
            places = {name: _places(pattern, text) for name, pattern in self._words.items()}
            for category, rules in self._rules.items():
                hits = [rule.score for rule in rules if _matches(rule, places)]
                scores[category] = max(scores[category], *hits, 0.0)
        return scores


def _pattern(terms: Iterable[str]) -> re.Pattern[str]:
    """Terms are words or phrases; a star at the end stands for any ending, a star in between for any word."""
    alternatives = sorted((_term(term) for term in terms), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b")


def _term(term: str) -> str:
    return re.escape(term).replace(r"\ \*\ ", r" \w+ ").replace(r"\*", r"\w*").replace(r"\ ", " ")


def _places(pattern: re.Pattern[str], text: str) -> list[int]:
    """Numbers of the words at which the terms begin."""
    return [text.count(" ", 0, match.start()) for match in pattern.finditer(text)]


def _matches(rule: Rule, places: Mapping[str, list[int]]) -> bool:
    first, *others = (places[name] for name in rule.sets)
    return any(all(any(abs(place - other) <= rule.within for other in found) for found in others) for place in first)
