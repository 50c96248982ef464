"""Attention on a time axis in seconds.

Queries and keys carry the time they stand for, not an index, so that tokens of different rates (audio latents, video
tracks) meet where they happen together. This is what makes synchronisation learnable and independent of frame rates.

Legend: B batch, N heads, L queries, V keys, D width, E width of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from triton_models.modeling.attention import Heads, rotate


def second_angles(seconds_L: Tensor, size: int, shortest_s: float, longest_s: float) -> Tensor:
    """Returns [L, size // 2] rotary angles whose periods go geometrically from `shortest_s` to `longest_s` seconds."""
    periods = torch.logspace(math.log10(shortest_s), math.log10(longest_s), size // 2, device=seconds_L.device)
    return 2 * torch.pi * seconds_L[:, None] / periods


class WindowedSelfAttention(Heads):
    """Audio tokens attend to those within a window, so that a minute sounds like the seconds it was trained on."""

    def __init__(self, width: int, heads: int, window_s: float) -> None:
        super().__init__(width, heads)
        self.window_s = window_s

    def forward(self, x_BLD: Tensor, seconds_L: Tensor) -> Tensor:
        """Takes and returns [B, L, D]; `seconds_L` are the times of the tokens."""
        angles = second_angles(seconds_L, x_BLD.shape[-1] // self.heads, 0.08, 4 * self.window_s)
        k_BNLE, v_BNLE = self.keys_values(x_BLD)
        near_LL = (seconds_L[:, None] - seconds_L).abs() <= self.window_s
        out = fn.scaled_dot_product_attention(
            rotate(self.queries(x_BLD), angles), rotate(k_BNLE, angles), v_BNLE, attn_mask=near_LL
        )
        return self.merge(out)


class TimedCrossAttention(Heads):
    """Audio tokens attend to the picture's tokens on the common time axis.

    With constant queries and keys the rotary score is a sum of cosines of the time difference, which peaks at zero.
    Starting there, every head looks at its own instant before anything is learned; learned weights then move or widen
    the view.
    """

    _SHARPNESS = 1.7
    """Gain of queries and keys at the start: the token 40 ms away then gets a tenth of the weight."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        for linear in (self.to_q, self.to_kv):
            nn.init.normal_(linear.weight[:width], std=0.1 / math.sqrt(width))
            nn.init.ones_(linear.bias[:width])
        for norm in (self.q_norm, self.k_norm):
            nn.init.constant_(norm.gain, self._SHARPNESS)

    def forward(self, x_BLD: Tensor, seconds_L: Tensor, context_BVD: Tensor, context_seconds_V: Tensor) -> Tensor:
        """Takes and returns [B, L, D]."""
        size = x_BLD.shape[-1] // self.heads
        k_BNVE, v_BNVE = self.keys_values(context_BVD)
        out = fn.scaled_dot_product_attention(
            rotate(self.queries(x_BLD), second_angles(seconds_L, size, 0.16, 40.0)),
            rotate(k_BNVE, second_angles(context_seconds_V, size, 0.16, 40.0)),
            v_BNVE,
        )
        return self.merge(out)
