"""STDiT3, the transformer of Open-Sora 1.2: text and a noisy latent in, velocity out.

The blocks are those of `modeling.dit` cut in two: spatial and temporal layers alternate, and each has a cross-attention
and a feed-forward network of its own. Space is told by sines of each token's place, scaled so that a frame of any size
looks like one the model knows; time by rotary angles; the frame rate and the noise level by the modulation.

Legend: B batch, F latent frames, H/W latent height and width, C channels, S tokens of a frame, K text tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..attention import CrossAttention, Heads, TemporalAttention, TemporalMode, attend, rotary_angles
from ..dit import Text, modulate, patchify, unpatchify
from ..shapes import PATCH, LatentShape, TokenGrid

_FEATURES = 256
"""Waves that tell the noise level and the frame rate."""
_SLOWEST = 10_000.0
"""Wavelength of the slowest wave over that of the fastest, of all features here."""
_NOISE_LEVELS = 1000
"""What the published weights call pure noise."""
_MODULATIONS = 6
"""Shift, scale and gate of attention and feed-forward."""


@dataclass(frozen=True, kw_only=True)
class STDiT3Config:
    """Size of a transformer; the defaults are the published XL/2's. `width` divides by `heads` and by 4."""

    width: int = 1152
    depth: int = 28
    """Pairs of a spatial and a temporal layer."""
    heads: int = 16
    feed_forward: float = 4.0
    """Width of the feed-forward networks over `width`."""
    channels: int = 4
    text_width: int = 4096
    text_tokens: int = 300
    """Of the learned null text: no prompt is longer."""
    known_size: int = 512
    """Side in pixels of the square frames whose places the sines are scaled to."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """What the network is told about a clip besides its text."""

    height: int
    """Pixels, as ordered: the latent may stand for a few less."""
    width: int
    fps: float


class FrameAttention(Heads):
    """Every token of a frame attends to every token of the same frame; its place is in its features."""

    def forward(self, x_BFSD: Tensor) -> Tensor:
        """Takes and returns [B, F, S, D]."""
        x_BLD = x_BFSD.flatten(0, 1)
        return self.merge(attend(self.queries(x_BLD), *self.keys_values(x_BLD))).view_as(x_BFSD)


class Layer(nn.Module):
    """Attention over a frame or over time, cross-attention, feed-forward."""

    def __init__(self, config: STDiT3Config, *, temporal: bool) -> None:
        super().__init__()
        width, hidden = config.width, int(config.width * config.feed_forward)
        self.attention = (TemporalAttention if temporal else FrameAttention)(width, config.heads)
        self.cross = CrossAttention(width, config.heads, normalised=False)
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.GELU("tanh"), nn.Linear(hidden, width))
        self.modulation_table = nn.Parameter(torch.zeros(_MODULATIONS, width))

    def forward(self, x_BFSD: Tensor, modulation_BFMD: Tensor, text: Text, *where: object) -> Tensor:
        """Takes and returns [B, F, S, D]; the modulation may have one frame for all, `where` goes to the attention."""
        shift, scale, gate, *rows = (modulation_BFMD + self.modulation_table).to(x_BFSD.dtype).unbind(2)
        attended = self.attention(modulate(x_BFSD, shift, scale), *where)
        x_BFSD = torch.addcmul(x_BFSD, gate[:, :, None], attended)
        told = self.cross(x_BFSD.flatten(1, 2), text.embeddings_BKD, text.mask_BK)
        x_BFSD = x_BFSD + told.view_as(x_BFSD)
        shift, scale, gate = rows
        fed: Tensor = self.feed_forward(modulate(x_BFSD, shift, scale))
        return torch.addcmul(x_BFSD, gate[:, :, None], fed)


def scalar_features(values_N: Tensor) -> Tensor:
    """[N, features] cosines, then sines, of a number.

    The angles are large, so the last bit of a rate shows: it is rounded as in training, whatever the machine's exp.
    """
    exponents = -math.log(_SLOWEST) * torch.arange(_FEATURES // 2, dtype=torch.float32) / (_FEATURES // 2)
    rates = exponents.double().exp().float().to(values_N.device)
    angles = values_N[:, None].float() * rates
    return torch.cat((angles.cos(), angles.sin()), -1)


def place_features(grid: TokenGrid, width: int, stretch: float, device: torch.device) -> Tensor:
    """[S, D] sines and cosines of each token's column, then of its row.

    Both axes are laid out over the side of a square of as many tokens, which is then divided by `stretch`.
    """
    side = round(math.sqrt(grid.rows * grid.columns))

    def axis(tokens: int) -> Tensor:
        places = torch.arange(tokens, device=device).float() / stretch * (side / tokens)
        angles = rotary_angles(places, width // 2, _SLOWEST)
        return torch.cat((angles.sin(), angles.cos()), -1)

    columns, rows = axis(grid.columns).repeat(grid.rows, 1), axis(grid.rows).repeat_interleave(grid.columns, 0)
    return torch.cat((columns, rows), -1)


class STDiT3(nn.Module):
    """Velocity data - noise of a latent clip at noise level t (1 is pure noise): the negative of `modeling.dit`'s."""

    time_rates: Tensor
    null_text_KD: Tensor

    def __init__(self, config: STDiT3Config) -> None:
        super().__init__()
        self.config = config
        patch_width, width = config.channels * PATCH * PATCH, config.width
        self.patch_in = nn.Linear(patch_width, width)
        self.time = nn.Sequential(nn.Linear(_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.frame_rate = nn.Sequential(nn.Linear(_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Linear(width, _MODULATIONS * width)
        self.text_in = nn.Sequential(nn.Linear(config.text_width, width), nn.GELU("tanh"), nn.Linear(width, width))
        self.spatial = nn.ModuleList(Layer(config, temporal=False) for _ in range(config.depth))
        self.temporal = nn.ModuleList(Layer(config, temporal=True) for _ in range(config.depth))
        self.out_table = nn.Parameter(torch.zeros(2, width))
        self.patch_out = nn.Linear(width, patch_width)
        self.register_buffer("time_rates", rotary_angles(torch.ones(1), width // config.heads, _SLOWEST)[0])
        self.register_buffer("null_text_KD", torch.zeros(config.text_tokens, config.text_width))

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in; angles and waves are computed in float32 all the same."""
        return self.patch_in.weight.dtype

    def forward(self, latent_BFHWC: Tensor, t: Tensor, text: Text, clip: Format) -> Tensor:
        """Returns the velocity, float32, in the shape of the latent, whose height and width may be odd.

        Args:
            latent_BFHWC: noisy latent.
            t: noise level of each clip [B], or of each frame [B, F]: frames at 0 are given, and tell the others.
            text: conditioning, of the text encoder; use `null_text` for none.
            clip: size and rate.
        """
        frames, height, width = latent_BFHWC.shape[1:4]
        padded = fn.pad(latent_BFHWC.to(self.dtype), (0, 0, 0, width % PATCH, 0, height % PATCH))
        grid = LatentShape._make(padded.shape[1:]).tokens()
        told = Text(self.text_in(text.embeddings_BKD.to(self.dtype)), text.mask_BK)
        condition_BFD = self._condition(t if t.dim() == 2 else t[:, None], clip)
        modulation_BFMD = self.modulation(fn.silu(condition_BFD)).unflatten(-1, (_MODULATIONS, -1))
        angles_FE = torch.arange(frames, device=padded.device)[:, None] * self.time_rates
        x_BFSD = self.patch_in(patchify(padded)) + self._places(grid, clip)
        for spatial, temporal in zip(self.spatial, self.temporal, strict=True):
            x_BFSD = spatial(x_BFSD, modulation_BFMD, told)
            x_BFSD = temporal(x_BFSD, modulation_BFMD, told, angles_FE, TemporalMode())
        shift, scale = (self.out_table + condition_BFD[:, :, None]).to(x_BFSD.dtype).unbind(2)
        velocity = unpatchify(self.patch_out(modulate(x_BFSD, shift, scale)), grid)
        return velocity[:, :, :height, :width].float()

    def _condition(self, t_BF: Tensor, clip: Format) -> Tensor:
        """[B, F, D] of the noise levels and the frame rate."""
        rate_D: Tensor = self.frame_rate(scalar_features(t_BF.new_tensor([clip.fps])).to(self.dtype))[0]
        noise_ND: Tensor = self.time(scalar_features(_NOISE_LEVELS * t_BF.flatten()).to(self.dtype))
        return noise_ND.view(*t_BF.shape, -1) + rate_D

    def _places(self, grid: TokenGrid, clip: Format) -> Tensor:
        stretch = math.sqrt(clip.height * clip.width) / self.config.known_size
        return place_features(grid, self.config.width, stretch, self.patch_in.weight.device).to(self.dtype)

    def null_text(self, like: Text) -> Text:
        """Returns the learned absence of text; the model knows it cut to the length of the prompt it is set against."""
        tokens = like.mask_BK.shape[1]
        return Text(self.null_text_KD[None, :tokens].expand(len(like.mask_BK), -1, -1), like.mask_BK)
