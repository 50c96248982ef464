"""Attention as the transformer uses it: normalised queries and keys, rotary positions, and time in three modes.

Legend: B batch, N heads, L queries, K keys, D width, E width of a head, F frames, S tokens of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn


class HeadNorm(nn.Module):
    """Root-mean-square norm of each head, in the dtype of its input (nn.RMSNorm is slow where autocast mixes them)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x_BNLE: Tensor) -> Tensor:
        """Takes and returns [B, N, L, E]."""
        return fn.rms_norm(x_BNLE, self.gain.shape, self.gain.to(x_BNLE.dtype), 1e-6)


class Heads(nn.Module):
    """Projects tokens to queries and keys, normalised unless told otherwise, and values, and attended values back."""

    def __init__(self, width: int, heads: int, context_width: int | None = None, *, normalised: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(context_width or width, 2 * width)
        self.out = nn.Linear(width, width)
        self.q_norm: nn.Module = HeadNorm(width // heads) if normalised else nn.Identity()
        self.k_norm: nn.Module = HeadNorm(width // heads) if normalised else nn.Identity()

    def queries(self, x_BLD: Tensor) -> Tensor:
        """Returns [B, N, L, E]."""
        q_BNLE: Tensor = self.q_norm(rearrange(self.to_q(x_BLD), "b l (n e) -> b n l e", n=self.heads))
        return q_BNLE

    def keys_values(self, context_BKD: Tensor) -> tuple[Tensor, Tensor]:
        """Returns two [B, N, K, E]."""
        k_BNKE, v_BNKE = rearrange(self.to_kv(context_BKD), "b k (two n e) -> two b n k e", two=2, n=self.heads)
        return self.k_norm(k_BNKE), v_BNKE

    def merge(self, x_BNLE: Tensor) -> Tensor:
        """Returns [B, L, D]."""
        merged: Tensor = self.out(rearrange(x_BNLE, "b n l e -> b l (n e)"))
        return merged


def rotary_angles(positions: Tensor, size: int, base: float = 100.0) -> Tensor:
    """Returns [len(positions), size // 2] angles in radians; the base is small because grids here are small."""
    rates = base ** (-torch.arange(0, size, 2, device=positions.device, dtype=torch.float32) / size)
    return positions.float()[:, None] * rates


def rotate(x_BNLE: Tensor, angles_LE: Tensor) -> Tensor:
    """Turns neighbouring pairs of channels by `angles_LE` [L, E // 2].

    As complex numbers, one pass instead of six; a compiler knows no complex numbers, but makes one pass of the six.
    """
    if torch.compiler.is_compiling():
        cos_LE, sin_LE = angles_LE.cos().to(x_BNLE.dtype), angles_LE.sin().to(x_BNLE.dtype)
        even, odd = x_BNLE[..., 0::2], x_BNLE[..., 1::2]
        return torch.stack((even * cos_LE - odd * sin_LE, even * sin_LE + odd * cos_LE), -1).flatten(-2)
    turns_LE = torch.polar(torch.ones_like(angles_LE), angles_LE)
    pairs = torch.view_as_complex(rearrange(x_BNLE.float(), "... (e two) -> ... e two", two=2).contiguous())
    return torch.view_as_real(pairs * turns_LE).flatten(-2).to(x_BNLE.dtype)


def attend(q_BNLE: Tensor, k_BNKE: Tensor, v_BNKE: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention; in float32 where it is learned, since a CPU's backward pass in bfloat16 is slow."""
    if not (q_BNLE.requires_grad and q_BNLE.dtype == torch.bfloat16 and q_BNLE.device.type == "cpu"):
        return fn.scaled_dot_product_attention(q_BNLE, k_BNKE, v_BNKE, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        return fn.scaled_dot_product_attention(q_BNLE.float(), k_BNKE.float(), v_BNKE.float(), attn_mask=mask)


class SpatialAttention(Heads):
    """Every token of a frame attends to every token of the same frame."""

    def forward(self, x_BFSD: Tensor, angles_SE: Tensor) -> Tensor:
        """Takes and returns [B, F, S, D]."""
        x_BLD = x_BFSD.flatten(0, 1)
        k_BNSE, v_BNSE = self.keys_values(x_BLD)
        out = attend(rotate(self.queries(x_BLD), angles_SE), rotate(k_BNSE, angles_SE), v_BNSE)
        return self.merge(out).view_as(x_BFSD)


class CrossAttention(Heads):
    """Every token attends to the text; padding is masked."""

    def forward(self, x_BLD: Tensor, text_BKD: Tensor, mask_BK: Tensor) -> Tensor:
        """Takes and returns [B, L, D]; every row of `mask_BK` (bool) has at least one True."""
        k_BNKE, v_BNKE = self.keys_values(text_BKD)
        return self.merge(attend(self.queries(x_BLD), k_BNKE, v_BNKE, mask_BK[:, None, None, :]))


@dataclass(frozen=True, kw_only=True)
class TemporalMode:
    """Which frames a frame attends to. All lengths are in latent frames."""

    kind: Literal["full", "causal", "sliding"] = "full"
    window: int = 16
    """sliding: how far back (and, unless causal, ahead) a frame sees."""
    anchor_interval: int = 32
    """sliding: frames 0, n, 2n, … are seen by all, or by later frames if causal."""
    causal: bool = True
    """sliding: whether the future is hidden. The other kinds ignore it."""
    chunk: int = 1
    """causal: frames come in chunks of so many, which see each other and what came before."""


@lru_cache(maxsize=32)
def temporal_mask(mode: TemporalMode, frames: int) -> Tensor | None:
    """Returns bool [F, F], True where row may attend to column, or None for full attention.

    A frame always sees itself, so no row is empty (an empty row would make softmax NaN).
    """
    if mode.kind == "full":
        return None
    row, column = torch.arange(frames)[:, None], torch.arange(frames)[None, :]
    if mode.kind == "causal":
        return column // mode.chunk <= row // mode.chunk
    near = (row - column).abs() <= mode.window
    anchors = column % mode.anchor_interval == 0
    past = column <= row if mode.causal else torch.ones_like(near)
    return (near | anchors) & past


@dataclass
class StreamMemory:
    """What a stream of chunks remembers: keys and values of its latest clean frames, for each temporal attention."""

    limit: int
    """Frames remembered at most, so that memory does not grow with the stream."""
    frames: int = 0
    """Frames finished so far: the place in time of the next one."""
    recording: bool = False
    """Whether the frames that pass are clean and are to be remembered."""
    kept: dict[nn.Module, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def extend(self, attention: nn.Module, k_BNFE: Tensor, v_BNFE: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the keys and values of the remembered frames and of these; remembers these when recording."""
        if attention in self.kept:
            past_k, past_v = self.kept[attention]
            k_BNFE, v_BNFE = torch.cat((past_k, k_BNFE), 2), torch.cat((past_v, v_BNFE), 2)
        if self.recording:
            self.kept[attention] = (k_BNFE[:, :, -self.limit :], v_BNFE[:, :, -self.limit :])
        return k_BNFE, v_BNFE


class TemporalAttention(Heads):
    """TSAM: every token attends to the tokens at its place in other frames."""

    def forward(
        self, x_BFSD: Tensor, angles_FE: Tensor, mode: TemporalMode, memory: StreamMemory | None = None
    ) -> Tensor:
        """Takes and returns [B, F, S, D]; with a memory, F is one chunk that sees itself and what is remembered."""
        batch = x_BFSD.shape[0]
        x_BLD = rearrange(x_BFSD, "b f s d -> (b s) f d")
        k_BNFE, v_BNFE = self.keys_values(x_BLD)
        q_BNFE, k_BNFE = rotate(self.queries(x_BLD), angles_FE), rotate(k_BNFE, angles_FE)
        if memory is not None:
            out = attend(q_BNFE, *memory.extend(self, k_BNFE, v_BNFE))
        elif mode.kind == "sliding":
            out = sliding_attention(q_BNFE, k_BNFE, v_BNFE, mode)
        else:
            out = masked_attention(q_BNFE, k_BNFE, v_BNFE, mode)
        return rearrange(self.merge(out), "(b s) f d -> b f s d", b=batch)


def masked_attention(q_BNFE: Tensor, k_BNFE: Tensor, v_BNFE: Tensor, mode: TemporalMode) -> Tensor:
    """Attention of all frames at once under `temporal_mask`: O(F^2)."""
    mask = temporal_mask(mode, q_BNFE.shape[2])
    return attend(q_BNFE, k_BNFE, v_BNFE, mask if mask is None else mask.to(q_BNFE.device))


def sliding_attention(q_BNFE: Tensor, k_BNFE: Tensor, v_BNFE: Tensor, mode: TemporalMode) -> Tensor:
    """The same result in O(F x window): blocks of frames read only the columns that their rows may see."""
    frames = q_BNFE.shape[2]
    mask = temporal_mask(mode, frames)
    assert mask is not None  # noqa: S101 - the sliding mode always has a mask
    mask = mask.to(q_BNFE.device)
    blocks = []
    for start in range(0, frames, mode.window):
        rows = slice(start, min(start + mode.window, frames))
        columns = mask[rows].any(0).nonzero().squeeze(1)
        blocks.append(attend(q_BNFE[:, :, rows], k_BNFE[:, :, columns], v_BNFE[:, :, columns], mask[rows][:, columns]))
    return torch.cat(blocks, 2)
