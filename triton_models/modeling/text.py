"""Prompts to embeddings: a tokenizer that knows no unknown words and a small transformer.

A word is the set of its letter trigrams and itself, each hashed to one of a few thousand buckets (as fastText does),
so a plural, a spelling mistake or an unseen word gets an embedding from its parts and no vocabulary file is needed.

Legend: B batch, L words, G grams of a word, K text tokens (summary, then words), D width.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .engine import device_of

_WORD = re.compile(r"[^\W_]+")
_GRAMS = 12


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Size of the text encoder."""

    width: int = 96
    depth: int = 2
    heads: int = 4
    buckets: int = 4096
    """Distinct grams; bucket 0 is padding."""
    summary_tokens: int = 14
    """Learned tokens in front of the words, which training makes say what the prompt means as a whole."""
    places: int = 48
    """Words told apart by place; word 48 has the place of word 0, and so on."""
    max_words: int = 256
    """Words beyond these are ignored."""


class PromptEmbedding(NamedTuple):
    """One encoded prompt."""

    embeddings: Tensor
    """Float32 [K, D]."""
    mask: Tensor
    """Bool [K]; all True, since one prompt needs no padding."""


def words_of(prompt: str) -> list[str]:
    """Returns the prompt's words in lower case, after NFKC; punctuation separates and is dropped."""
    return _WORD.findall(unicodedata.normalize("NFKC", prompt).casefold())


def grams_of(word: str) -> list[str]:
    """Returns the word between brackets, then its trigrams: "red" gives <red>, <re, red, ed>."""
    bracketed = f"<{word}>"
    return [bracketed, *(bracketed[i : i + 3] for i in range(len(bracketed) - 2) if len(bracketed) > 3)]


def tokenize(prompt: str, config: TextConfig) -> Tensor:
    """Returns int64 [L, G] of bucket numbers, L from 1 (an empty prompt is one empty word) to `max_words`."""
    words = words_of(prompt)[: config.max_words] or [""]
    grid = torch.zeros(len(words), _GRAMS, dtype=torch.int64)
    for row, word in enumerate(words):
        buckets = [zlib.crc32(gram.encode()) % (config.buckets - 1) + 1 for gram in grams_of(word)[:_GRAMS]]
        grid[row, : len(buckets)] = torch.tensor(buckets)
    return grid


def collate(prompts: list[Tensor]) -> Tensor:
    """Pads tokenized prompts [L_i, G] to one [B, L, G]."""
    return nn.utils.rnn.pad_sequence(prompts, batch_first=True)


class TextEncoder(nn.Module):
    """Grams to contextual embeddings."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.grams = nn.EmbeddingBag(config.buckets, config.width, mode="mean", padding_idx=0)
        self.places = nn.Parameter(torch.randn(config.places, config.width) * 0.1)
        self.summary = nn.Parameter(torch.randn(config.summary_tokens, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 2 * config.width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, grams_BLG: Tensor) -> tuple[Tensor, Tensor]:
        """Returns embeddings [B, K, D] with K = summary_tokens + L, and the bool mask [B, K] of real tokens."""
        batch, words, grams = grams_BLG.shape
        places_L = torch.arange(words, device=grams_BLG.device) % self.config.places
        embedded = self.grams(grams_BLG.reshape(-1, grams)).view(batch, words, -1) + self.places[places_L]
        x_BKD = torch.cat((self.summary.expand(batch, -1, -1), embedded), 1)
        real_BL = grams_BLG.any(-1)
        mask_BK = torch.cat((real_BL.new_ones(batch, self.config.summary_tokens), real_BL), 1)
        x_BKD = self.norm(self.layers(x_BKD, src_key_padding_mask=~mask_BK))
        return x_BKD, mask_BK

    @torch.inference_mode()
    def encode(self, prompt: str) -> PromptEmbedding:
        """Returns the embedding of one prompt; the same prompt gives the same bits."""
        embeddings, mask = self(tokenize(prompt, self.config)[None].to(device_of(self)))
        return PromptEmbedding(embeddings[0].float().cpu(), mask[0].cpu())
