"""Attention on a time axis in seconds, within a window.

Queries and keys carry the time they stand for, not an index, so that a query finds what happens at its own instant.
They see no further than a window: a minute then sounds like the seconds that were trained on, and costs memory in
proportion to its length.

Legend: B batch, N heads, L tokens (LATENT_RATE_HZ a second), D width, E width of a head, W window in tokens, P blocks
of W tokens, K = 3 W keys of a block.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn

from triton_models.modeling.attention import Heads, rotate
from triton_models.modeling.audio.spectrum import LATENT_RATE_HZ


def second_angles(seconds_L: Tensor, size: int, shortest_s: float, longest_s: float) -> Tensor:
    """Returns [L, size // 2] rotary angles whose periods go geometrically from `shortest_s` to `longest_s` seconds."""
    periods = torch.logspace(math.log10(shortest_s), math.log10(longest_s), size // 2, device=seconds_L.device)
    return 2 * torch.pi * seconds_L[:, None] / periods


def near_attention(q_BNLE: Tensor, k_BNLE: Tensor, v_BNLE: Tensor, window: int) -> Tensor:
    """Attention of each query to the keys at most `window` tokens from it, [B, N, L, E] as the queries.

    Long sequences go in blocks of `window` queries, each with its own block of keys and the two beside it: memory
    grows with L, not with its square. The result is that of masked attention over everything.
    """
    length = q_BNLE.shape[2]
    place_L = torch.arange(length, device=q_BNLE.device)
    if length <= 3 * window:
        near_LL = (place_L[:, None] - place_L).abs() <= window
        return fn.scaled_dot_product_attention(q_BNLE, k_BNLE, v_BNLE, attn_mask=near_LL)
    blocks = -(-length // window)
    q_BNPWE = rearrange(fn.pad(q_BNLE, (0, 0, 0, blocks * window - length)), "b n (p w) e -> b n p w e", p=blocks)
    keys_BNPKE, values_BNPKE = (_three_blocks(each, blocks, window) for each in (k_BNLE, v_BNLE))
    at_PW1 = torch.arange(blocks * window, device=q_BNLE.device).view(blocks, window, 1)
    at_P1K = at_PW1[:, :1] + torch.arange(-window, 2 * window, device=q_BNLE.device)
    # A query of the padding has no real key near it; it may look anywhere, and its result is cut off.
    seen_PWK = ((at_PW1 - at_P1K).abs() <= window) & (((at_P1K >= 0) & (at_P1K < length)) | (at_PW1 >= length))
    out = fn.scaled_dot_product_attention(q_BNPWE, keys_BNPKE, values_BNPKE, attn_mask=seen_PWK)
    return out.flatten(2, 3)[:, :, :length]


def _three_blocks(x_BNLE: Tensor, blocks: int, window: int) -> Tensor:
    """[B, N, P, 3 W, E]: each block between its neighbours; zeros lie beyond the ends."""
    padded = fn.pad(x_BNLE, (0, 0, window, (blocks + 1) * window - x_BNLE.shape[2]))
    return padded.unfold(2, 3 * window, window).transpose(-1, -2)


class WindowedSelfAttention(Heads):
    """Audio tokens attend to those within a window."""

    def __init__(self, width: int, heads: int, window_s: float) -> None:
        super().__init__(width, heads)
        self.window_s = window_s

    def forward(self, x_BLD: Tensor, seconds_L: Tensor) -> Tensor:
        """Takes and returns [B, L, D]; `seconds_L` are the times of the tokens."""
        angles = second_angles(seconds_L, x_BLD.shape[-1] // self.heads, 0.08, 4 * self.window_s)
        k_BNLE, v_BNLE = self.keys_values(x_BLD)
        q_BNLE, k_BNLE = rotate(self.queries(x_BLD), angles), rotate(k_BNLE, angles)
        return self.merge(near_attention(q_BNLE, k_BNLE, v_BNLE, round(self.window_s * LATENT_RATE_HZ)))


class TimedCrossAttention(Heads):
    """Audio tokens attend to the picture's tokens on the common time axis, within a window.

    With constant queries and keys the rotary score is a sum of cosines of the time difference, which peaks at zero.
    Starting there, every head looks at its own instant before anything is learned; learned weights then move or widen
    the view.
    """

    _SHARPNESS = 1.7
    """Gain of queries and keys at the start: the token 40 ms away then gets a tenth of the weight."""

    def __init__(self, width: int, heads: int, window_s: float) -> None:
        super().__init__(width, heads)
        self.window_s = window_s
        for linear in (self.to_q, self.to_kv):
            nn.init.normal_(linear.weight[:width], std=0.1 / math.sqrt(width))
            nn.init.ones_(linear.bias[:width])
        for norm in (self.q_norm, self.k_norm):
            nn.init.constant_(norm.get_parameter("gain"), self._SHARPNESS)

    def forward(self, x_BLD: Tensor, picture_BLD: Tensor, seconds_L: Tensor) -> Tensor:
        """Takes and returns [B, L, D]; token i of both is at `seconds_L[i]`."""
        angles = second_angles(seconds_L, x_BLD.shape[-1] // self.heads, 0.16, 40.0)
        k_BNLE, v_BNLE = self.keys_values(picture_BLD)
        q_BNLE, k_BNLE = rotate(self.queries(x_BLD), angles), rotate(k_BNLE, angles)
        return self.merge(near_attention(q_BNLE, k_BNLE, v_BNLE, round(self.window_s * LATENT_RATE_HZ)))
