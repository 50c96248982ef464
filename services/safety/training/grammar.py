"""Phrases to learn from: templates with slots, harmless and not, from a checked-in file."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from services.safety.domain import TEXT_CATEGORIES

_FILE = Path(__file__).with_name("phrases.yaml")
_SLOT = re.compile(r"\{(\w+)\}")
_SAFE_SHARE = 0.6


@dataclass(frozen=True)
class Example:
    """A phrase and what it is."""

    text: str
    categories: frozenset[str]
    """Empty for a harmless one."""


class Grammar(BaseModel):
    """The file: slots are lists of words, templates name them in braces."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: Mapping[str, tuple[str, ...]]
    safe: tuple[str, ...]
    unsafe: Mapping[str, tuple[str, ...]]

    @model_validator(mode="after")
    def _names_exist(self) -> Grammar:
        templates = [*self.safe, *(template for some in self.unsafe.values() for template in some)]
        used = {
            name
            for text in (*templates, *(w for some in self.slots.values() for w in some))
            for name in _SLOT.findall(text)
        }
        missing = (used - set(self.slots)) | (set(self.unsafe) - set(TEXT_CATEGORIES))
        if missing:
            raise ValueError(f"unknown slots or categories: {sorted(missing)}")
        return self

    @classmethod
    def load(cls) -> Grammar:
        """Reads the repository's phrases."""
        return cls.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))

    def examples(self, count: int, *, seed: int) -> list[Example]:
        """Draws phrases; the same seed draws the same."""
        chance = random.Random(seed)
        return [self._draw(chance) for _ in range(count)]

    def _draw(self, chance: random.Random) -> Example:
        if chance.random() < _SAFE_SHARE:
            return Example(self._fill(chance.choice(self.safe), chance), frozenset())
        category = chance.choice(sorted(self.unsafe))
        text = self._fill(chance.choice(self.unsafe[category]), chance)
        # Harmless words around it must not hide it.
        context = self._fill(chance.choice(self.safe), chance) if chance.random() < 0.3 else ""
        return Example(f"{context} {text}".strip(), frozenset({category}))

    def _fill(self, template: str, chance: random.Random) -> str:
        while _SLOT.search(template):
            template = _SLOT.sub(lambda match: chance.choice(self.slots[match.group(1)]), template, count=1)
        return template
