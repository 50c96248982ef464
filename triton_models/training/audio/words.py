"""Captions as the text encoder's embeddings, for training the audio transformer on what it will be given."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from triton_models.modeling.dit import Text
from triton_models.modeling.reference import load_text_encoder
from triton_models.modeling.text import PromptEmbedding, TextConfig
from triton_models.training.audio.clips import sample_clip


class Silence:
    """No words at all, for training before there is a text encoder."""

    def batch(self, rows: Tensor, shown: Tensor) -> Text:
        """One masked token a clip."""
        return Text(torch.zeros(len(rows), 1, TextConfig().width), torch.zeros_like(shown)[:, None])


class Captions:
    """The embedded captions of prepared clips."""

    def __init__(self, weights: Path, seeds: list[int]) -> None:
        encoder = load_text_encoder(weights)
        clips = [sample_clip(seed) for seed in seeds]
        self._prompts: list[PromptEmbedding] = [encoder.encode(clip.caption) for clip in clips]
        self._fit = torch.tensor([clip.words_fit for clip in clips])

    def batch(self, rows: Tensor, shown: Tensor) -> Text:
        """The words of some clips, hidden where `shown` (bool) is false or the ambience was not the caption's."""
        prompts = [self._prompts[row] for row in rows.tolist()]
        embeddings = torch.nn.utils.rnn.pad_sequence([prompt.embeddings for prompt in prompts], batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([prompt.mask for prompt in prompts], batch_first=True)
        return Text(embeddings, mask & (shown & self._fit[rows])[:, None])
