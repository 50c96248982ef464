"""Classifier-free guidance: away from what the clip should not be, towards what it should.

Legend: B batch, K text tokens, D width of the text.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as fn

from .attention import StreamMemory, TemporalMode
from .dit import Text, VideoDiT
from .engine import device_of
from .flow import Velocity

Network = Callable[[Tensor, Tensor, Text], Tensor]
"""(latents [B, F, H, W, C], noise levels [B] or [B, F], text) to velocities."""


def pad_text(text: Text, tokens: int) -> Text:
    """Returns the text padded with masked zeros to `tokens`."""
    missing = tokens - text.embeddings_BKD.shape[1]
    return Text(fn.pad(text.embeddings_BKD, (0, 0, 0, missing)), fn.pad(text.mask_BK, (0, missing)))


def guided_velocity(
    dit: VideoDiT,
    text: Text,
    scale: float,
    negative: Text | None = None,
    mode: TemporalMode | None = None,
    memory: StreamMemory | None = None,
    held: int = 0,
) -> Velocity:
    """Returns the velocity function of one clip (B = 1), as `guided`, of latents on any device.

    `negative` takes the place of the learned null text. A `memory` belongs to one scale: it remembers both passes.
    """
    device = device_of(dit)
    against = dit.null_text(1, len(dit.null_text_KD)) if negative is None else negative.to(device)

    def network(latents: Tensor, levels: Tensor, told: Text) -> Tensor:
        velocity: Tensor = dit(latents.to(device), levels.to(device), told, mode, memory)
        return velocity.to(latents.device)

    return guided(network, text.to(device), against, scale, held)


def guided(network: Network, text: Text, against: Text, scale: float, held: int = 0) -> Velocity:
    """Returns the velocity function of one clip (B = 1).

    At scale 1 it is the conditional velocity; otherwise both passes run as one batch of two. The first `held` frames
    are given: the network is told that they are at noise level 0, and they do not move.
    """
    if scale == 1:
        return lambda latent, t: _moving(network(latent, _levels(latent, t, held), text), held)
    tokens = max(text.mask_BK.shape[1], against.mask_BK.shape[1])
    texts = pad_text(text, tokens), pad_text(against, tokens)
    both = Text(torch.cat([one.embeddings_BKD for one in texts]), torch.cat([one.mask_BK for one in texts]))

    def velocity(latent: Tensor, t: float) -> Tensor:
        latents = latent.repeat(2, 1, 1, 1, 1)
        conditional, unconditional = network(latents, _levels(latents, t, held), both).chunk(2)
        return _moving(unconditional + scale * (conditional - unconditional), held)

    return velocity


def _levels(latent_BFHWC: Tensor, t: float, held: int) -> Tensor:
    """[B] of the noise level, or [B, F] where some frames have none."""
    if not held:
        return latent_BFHWC.new_full((len(latent_BFHWC),), t)
    levels_BF = latent_BFHWC.new_full(latent_BFHWC.shape[:2], t)
    levels_BF[:, :held] = 0
    return levels_BF


def _moving(velocity_BFHWC: Tensor, held: int) -> Tensor:
    return torch.cat((torch.zeros_like(velocity_BFHWC[:, :held]), velocity_BFHWC[:, held:]), 1)
