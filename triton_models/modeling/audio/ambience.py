"""Reads from a prompt's embeddings what should be heard in the background.

The audio transformer is conditioned on named ambiences; this small network names them. Its only input is what the text
encoder says, so it learns from captions alone: a hundred thousand of them cost less than a minute of sound.

Legend: B batch, K text tokens, D text width, E width of a token here, A ambiences, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from triton_models.modeling.audio.cues import AMBIENCES
from triton_models.modeling.dit import Text


@dataclass(frozen=True, kw_only=True)
class AmbienceReaderConfig:
    """Sizes of the reader."""

    text_width: int = 96
    width: int = 64


class AmbienceReader(nn.Module):
    """One query an ambience looks over the tokens; what all of them found decides."""

    def __init__(self, config: AmbienceReaderConfig) -> None:
        super().__init__()
        self.token = nn.Sequential(
            nn.LayerNorm(config.text_width), nn.Linear(config.text_width, 2 * config.width), nn.SiLU(),
            nn.Linear(2 * config.width, 2 * config.width), nn.SiLU(),
        )  # fmt: skip
        self.relevance = nn.Linear(2 * config.width, len(AMBIENCES))
        self.meaning = nn.Linear(2 * config.width, config.width)
        self.decide = nn.Sequential(
            nn.Linear(len(AMBIENCES) * config.width, config.width), nn.SiLU(), nn.Linear(config.width, len(AMBIENCES))
        )

    def forward(self, text: Text) -> Tensor:
        """Logits [B, A], in the order of AMBIENCES."""
        tokens_BKE = self.token(text.embeddings_BKD)
        scores_BKA = self.relevance(tokens_BKE).masked_fill(~text.mask_BK[..., None], -1e4)
        found_BAW = scores_BKA.softmax(dim=1).transpose(1, 2) @ fn.silu(self.meaning(tokens_BKE))
        logits: Tensor = self.decide(found_BAW.flatten(1))
        return logits

    @torch.inference_mode()
    def names(self, text: Text) -> tuple[str, ...]:
        """The ambiences that one prompt (B is 1) asks for."""
        likely_A = self(text)[0] > 0
        return tuple(name for name, wanted in zip(AMBIENCES, likely_A.tolist(), strict=True) if wanted)
