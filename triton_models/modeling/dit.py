"""The video diffusion transformer: text and a noisy latent in, velocity out.

Each block: spatial attention, temporal attention, cross-attention to the text, feed-forward, as Algorithm 1 of the
low-level design. Every branch but the cross-attention has its own shift, scale and gate from the noise level
(AdaLN-single as in PixArt-alpha: one shared projection plus a table per block, so that modulation does not outweigh
the blocks themselves), and starts as the identity.

Legend: B batch, F latent frames, H/W latent height and width, C channels, S tokens of a frame, K text tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn

from .attention import CrossAttention, SpatialAttention, StreamMemory, TemporalAttention, TemporalMode, rotary_angles
from .shapes import LATENT_CHANNELS, PATCH, LatentShape, TokenGrid

_TIME_FEATURES = 256
_POSITION_OCTAVES = 6
_MOMENT_OCTAVES = 5
_MOMENTS = 16
"""Latent frames told apart by absolute time; later ones know only their distance from each other."""
_MODULATIONS = 9
"""Shift, scale and gate of spatial attention, temporal attention and feed-forward."""


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """Size of a transformer; `width` divides by `heads`, and a head's width by 4."""

    width: int
    depth: int
    heads: int
    text_width: int
    summary_tokens: int
    """The first tokens of the text, which also condition the modulation; 0 where the text encoder has none."""
    channels: int = LATENT_CHANNELS

    @classmethod
    def tiny(cls) -> DiTConfig:
        """The size trained in this repository, for CPUs."""
        return cls(width=128, depth=6, heads=4, text_width=96, summary_tokens=14)

    @classmethod
    def source(cls) -> DiTConfig:
        """The size of the low-level design, about 9.8 billion parameters."""
        return cls(width=4096, depth=28, heads=32, text_width=4096, summary_tokens=0)


def patchify(latent_BFHWC: Tensor) -> Tensor:
    """[B, F, H, W, C] to [B, F, S, 4C]."""
    return rearrange(latent_BFHWC, "b f (h p) (w q) c -> b f (h w) (p q c)", p=PATCH, q=PATCH)


def unpatchify(patches_BFSP: Tensor, grid: TokenGrid) -> Tensor:
    """[B, F, S, 4C] to [B, F, H, W, C]."""
    return rearrange(
        patches_BFSP, "b f (h w) (p q c) -> b f (h p) (w q) c", h=grid.rows, w=grid.columns, p=PATCH, q=PATCH
    )


def modulate(x_BFSD: Tensor, shift_BFD: Tensor, scale_BFD: Tensor) -> Tensor:
    """Normalises each token, then scales by 1 + scale and shifts; both may have one frame for all."""
    normed = fn.layer_norm(x_BFSD, x_BFSD.shape[-1:], eps=1e-6)
    return torch.addcmul(shift_BFD[:, :, None], normed, 1 + scale_BFD[:, :, None])


class Block(nn.Module):
    """One layer of the transformer."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.spatial = SpatialAttention(width, heads)
        self.temporal = TemporalAttention(width, heads)
        self.cross_norm = nn.LayerNorm(width, eps=1e-6)
        self.cross = CrossAttention(width, heads, config.text_width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.modulation_table = nn.Parameter(torch.zeros(_MODULATIONS, width))
        nn.init.zeros_(self.cross.out.weight)
        nn.init.zeros_(self.cross.out.bias)

    def forward(self, x_BFSD: Tensor, modulation_BFMD: Tensor, text: Text, positions: Positions) -> Tensor:
        """Takes and returns [B, F, S, D]; the modulation may have one frame for all."""
        rows = (modulation_BFMD + self.modulation_table).to(x_BFSD.dtype).unbind(2)
        shift, scale, gate = rows[:3]
        attended = self.spatial(modulate(x_BFSD, shift, scale), positions.space_SE)
        x_BFSD = torch.addcmul(x_BFSD, gate[:, :, None], attended)
        shift, scale, gate = rows[3:6]
        attended = self.temporal(modulate(x_BFSD, shift, scale), positions.time_FE, positions.mode, positions.memory)
        x_BFSD = torch.addcmul(x_BFSD, gate[:, :, None], attended)
        told = self.cross(self.cross_norm(x_BFSD.flatten(1, 2)), text.embeddings_BKD, text.mask_BK)
        x_BFSD = x_BFSD + told.unflatten(1, x_BFSD.shape[1:3])
        shift, scale, gate = rows[6:]
        fed: Tensor = self.feed_forward(modulate(x_BFSD, shift, scale))
        return torch.addcmul(x_BFSD, gate[:, :, None], fed)


@dataclass(frozen=True)
class Text:
    """What the clip is conditioned on."""

    embeddings_BKD: Tensor
    """Float [B, K, D] of the text encoder."""
    mask_BK: Tensor
    """Bool [B, K], False for padding."""

    def to(self, device: torch.device) -> Text:
        """Returns it on a device."""
        return Text(self.embeddings_BKD.to(device), self.mask_BK.to(device))


@dataclass(frozen=True)
class Positions:
    """Rotary angles of one grid, and how frames see each other."""

    space_SE: Tensor
    time_FE: Tensor
    mode: TemporalMode
    memory: StreamMemory | None


def rotary_positions(grid: TokenGrid, frames_F: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Returns separable rotary angles of space [S, E], and of the frames with the indices `frames_F` in time [F, E].

    In space half of a head's pairs turn with the row, half with the column.
    """
    device = frames_F.device
    rows = torch.arange(grid.rows, device=device).repeat_interleave(grid.columns)
    columns = torch.arange(grid.columns, device=device).repeat(grid.rows)
    half = head_width // 2
    space = torch.cat((rotary_angles(rows, half), rotary_angles(columns, half)), -1)
    return space, rotary_angles(frames_F, head_width)


def _waves(values: Tensor, rates: Tensor) -> Tensor:
    angles = values[:, None].float() * rates
    return torch.cat((angles.sin(), angles.cos()), -1)


def _place_features(grid: TokenGrid, device: torch.device) -> Tensor:
    """[S, 4 octaves] waves of each token's relative row and column: absolute place, whatever the resolution."""
    rates = math.pi * 2.0 ** torch.arange(_POSITION_OCTAVES, device=device)
    rows = _waves((torch.arange(grid.rows, device=device) + 0.5) / grid.rows, rates)
    columns = _waves((torch.arange(grid.columns, device=device) + 0.5) / grid.columns, rates)
    return torch.cat((rows.repeat_interleave(grid.columns, 0), columns.repeat(grid.rows, 1)), -1)


def _moment_features(frames_F: Tensor) -> Tensor:
    """[F, 2 octaves] waves of each frame's index: where a motion has got to, seen from its start."""
    rates = math.pi * 2.0 ** torch.arange(_MOMENT_OCTAVES, device=frames_F.device)
    return _waves((frames_F.clamp(max=_MOMENTS - 1) + 0.5) / _MOMENTS, rates)


class VideoDiT(nn.Module):
    """Velocity v = noise - data of a latent clip at noise level t (1 is pure noise)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        patch_width, width = config.channels * PATCH * PATCH, config.width
        self.patch_in = nn.Linear(patch_width, width)
        self.place = nn.Linear(4 * _POSITION_OCTAVES, width)
        self.moment = nn.Linear(2 * _MOMENT_OCTAVES, width)
        self.first_frame = nn.Parameter(torch.zeros(width))
        self.time = nn.Sequential(nn.Linear(_TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.summary = nn.Linear(config.summary_tokens * config.text_width, width) if config.summary_tokens else None
        self.modulation = nn.Linear(width, _MODULATIONS * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.out_table = nn.Parameter(torch.zeros(2, width))
        self.patch_out = nn.Linear(width, patch_width)
        self.null_text_KD = nn.Parameter(torch.randn(max(1, config.summary_tokens), config.text_width) * 0.5)
        for layer in (self.modulation, self.patch_out, self.moment):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        latent_BFHWC: Tensor,
        t: Tensor,
        text: Text,
        mode: TemporalMode | None = None,
        memory: StreamMemory | None = None,
    ) -> Tensor:
        """Returns the velocity, float32, in the shape of the latent.

        Args:
            latent_BFHWC: noisy latent; H and W even.
            t: noise level of each clip [B], or of each frame [B, F]: frames at 0 are given, and tell the others.
            text: conditioning; use `null_text` for none.
            mode: how frames see each other; full attention if None.
            memory: what came before, where the latent is one chunk of a stream.
        """
        _, frames, height, width, channels = latent_BFHWC.shape
        grid = LatentShape(frames, height, width, channels).tokens()
        begun = 0 if memory is None else memory.frames
        frames_F = torch.arange(begun, begun + frames, device=latent_BFHWC.device)
        angles = rotary_positions(grid, frames_F, self.config.width // self.config.heads)
        positions = Positions(*angles, mode or TemporalMode(), memory)
        condition_BFD = self._condition(t if t.dim() == 2 else t[:, None], text)
        modulation_BFMD = self.modulation(fn.silu(condition_BFD)).unflatten(-1, (_MODULATIONS, -1))
        x_BFSD = self.patch_in(patchify(latent_BFHWC)) + self.place(_place_features(grid, latent_BFHWC.device))
        moments_FD = self.moment(_moment_features(frames_F)) + self.first_frame * (frames_F == 0)[:, None]
        x_BFSD = x_BFSD + moments_FD[:, None]
        for block in self.blocks:
            x_BFSD = block(x_BFSD, modulation_BFMD, text, positions)
        if memory is not None and memory.recording:
            memory.frames += frames
        shift, scale = (self.out_table + condition_BFD[:, :, None]).to(x_BFSD.dtype).unbind(2)
        return unpatchify(self.patch_out(modulate(x_BFSD, shift, scale)), grid).float()

    def _condition(self, t_BF: Tensor, text: Text) -> Tensor:
        """[B, F, D] of the noise levels and, where the text has summary tokens, of those."""
        rates = torch.exp(-math.log(1e4) * torch.arange(_TIME_FEATURES // 2, device=t_BF.device) * 2 / _TIME_FEATURES)
        condition_BFD: Tensor = self.time(_waves(1000 * t_BF.flatten(), rates)).unflatten(0, t_BF.shape)
        if self.summary is not None:
            told_BD = self.summary(text.embeddings_BKD[:, : self.config.summary_tokens].flatten(1))
            condition_BFD = condition_BFD + told_BD[:, None]
        return condition_BFD

    def null_text(self, batch: int, tokens: int) -> Text:
        """Returns the learned absence of text, padded to `tokens`."""
        known, width = self.null_text_KD.shape
        embeddings = fn.pad(self.null_text_KD, (0, 0, 0, tokens - known)).expand(batch, tokens, width)
        mask = torch.arange(tokens, device=embeddings.device) < known
        return Text(embeddings, mask.expand(batch, tokens))
