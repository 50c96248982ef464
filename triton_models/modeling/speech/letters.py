"""Letters to sounds: how a written English word is said.

A small convolutional network gives each letter three slots, each a sound or nothing; reading the slots in order and
dropping repeats gives the word (connectionist temporal classification, Graves et al. 2006, with no recurrence).

Legend: B words, L letters, D width, V sounds and nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from triton_models.modeling.engine import device_of

from .blocks import ConvStack, mask_of
from .phonemes import SOUNDS

LETTERS = "'abcdefghijklmnopqrstuvwxyz"
SLOTS = 3
"""Sounds that one letter can make, and the gaps between equal ones."""
NOTHING = len(SOUNDS)


@dataclass(frozen=True)
class LettersConfig:
    """Sizes of the network."""

    width: int = 128
    depth: int = 6


class LetterNet(nn.Module):
    """Scores of each letter's slots."""

    def __init__(self, config: LettersConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS) + 1, config.width, padding_idx=0)
        self.stack = ConvStack(config.width, config.depth)
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.width, SLOTS * (len(SOUNDS) + 1))

    def forward(self, letters_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """Log-probabilities [B, 3 L, V]."""
        batch, longest = letters_BL.shape
        x_BLD = self.stack(self.embed(letters_BL), mask_of(lengths_B, longest))
        scores: Tensor = self.out(self.norm(x_BLD)).reshape(batch, SLOTS * longest, -1)
        return scores.log_softmax(dim=-1)


def spelled(words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(letters [B, L], lengths [B]) of lower-case words of LETTERS; padding is 0.

    Raises:
        ValueError: a word has another character.
    """
    lengths = torch.tensor([len(word) for word in words])
    letters = torch.zeros(len(words), int(lengths.max()), dtype=torch.long)
    for row, word in enumerate(words):
        letters[row, : len(word)] = torch.tensor([LETTERS.index(letter) + 1 for letter in word])
    return letters, lengths


def pronounced(net: LetterNet, words: Sequence[str]) -> list[tuple[str, ...]]:
    """The sounds of each word; () for a word the network gives none."""
    letters, lengths = spelled(words)
    device = device_of(net)
    with torch.inference_mode():
        best_BL = net(letters.to(device), lengths.to(device)).argmax(dim=-1)
    return [_read(row[: SLOTS * length].tolist()) for row, length in zip(best_BL, lengths.tolist(), strict=True)]


def _read(slots: list[int]) -> tuple[str, ...]:
    changes = [now for before, now in zip([NOTHING, *slots], slots, strict=False) if now != before]
    return tuple(SOUNDS[slot] for slot in changes if slot != NOTHING)
