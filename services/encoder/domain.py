"""Prompts, their content hashes, and what is stored of them."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass

PREFIX = "prompts/"
"""What the keys of embeddings begin with."""


@dataclass(frozen=True)
class Prompt:
    """What to encode, in NFC."""

    text: str
    negative: str
    """Empty for the model's learned null text."""
    model: str
    """Name of the model that will read the embeddings, e.g. "REFERENCE"."""

    @classmethod
    def of(cls, text: str, negative: str, model: str) -> Prompt:
        """Normalises, so that equal texts are equal."""
        return cls(unicodedata.normalize("NFC", text), unicodedata.normalize("NFC", negative), model)

    def content_hash(self, encoder_revision: str) -> str:
        """Names the result: lower-case hexadecimal sha256 of all it depends on."""
        content = json.dumps([self.model, encoder_revision, self.text, self.negative])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Embedding:
    """Stored embeddings of a prompt."""

    content_hash: str
    model: str
    encoder_revision: str
    uri: str
    """s3:// location of the safetensors object."""
    sha256: str
    token_count: int
    """Tokens of the prompt."""
    dim: int
    """Width of an embedding."""


@dataclass(frozen=True)
class CacheStats:
    """The cache's figures."""

    hits: int
    misses: int
    entries: int
