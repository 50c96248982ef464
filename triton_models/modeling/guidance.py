"""Classifier-free guidance: away from what the clip should not be, towards what it should.

Legend: B batch, K text tokens, D width of the text.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from .attention import TemporalMode
from .dit import Text, VideoDiT
from .flow import Velocity


def pad_text(text: Text, tokens: int) -> Text:
    """Returns the text padded with masked zeros to `tokens`."""
    missing = tokens - text.embeddings_BKD.shape[1]
    return Text(fn.pad(text.embeddings_BKD, (0, 0, 0, missing)), fn.pad(text.mask_BK, (0, missing)))


def guided_velocity(
    dit: VideoDiT, text: Text, scale: float, negative: Text | None = None, mode: TemporalMode | None = None
) -> Velocity:
    """Returns the velocity function of one clip (B = 1).

    At scale 1 it is the conditional velocity; otherwise both passes run as one batch of two. `negative` takes the
    place of the learned null text.
    """
    if scale == 1:
        return lambda latent, t: dit(latent, latent.new_full((1,), t), text, mode)
    tokens = max(
        text.embeddings_BKD.shape[1], dit.null_text_KD.shape[0] if negative is None else negative.mask_BK.shape[1]
    )
    against = dit.null_text(1, tokens) if negative is None else pad_text(negative, tokens)
    towards = pad_text(text, tokens)
    both = Text(
        torch.cat((towards.embeddings_BKD, against.embeddings_BKD)), torch.cat((towards.mask_BK, against.mask_BK))
    )

    def velocity(latent: Tensor, t: float) -> Tensor:
        conditional, unconditional = dit(latent.repeat(2, 1, 1, 1, 1), latent.new_full((2,), t), both, mode).chunk(2)
        guided: Tensor = unconditional + scale * (conditional - unconditional)
        return guided

    return velocity
