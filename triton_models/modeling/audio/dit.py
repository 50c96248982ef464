"""The audio diffusion transformer: noisy latents, words, the picture's tracks and the flags in, velocity out.

Each block: windowed self-attention, cross-attention to the text, cross-attention to the picture's tracks on the
common axis of seconds, feed-forward; modulated by noise level and conditions with one shared projection plus a table
per block (as the video transformer). The conventions of flow matching are those of `modeling.flow`.

Legend: B batch, L audio latents, C latent channels, V track tokens, K text tokens, D width, M modulations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn

from triton_models.modeling.attention import CrossAttention
from triton_models.modeling.audio.attention import TimedCrossAttention, WindowedSelfAttention
from triton_models.modeling.audio.cues import CONDITIONS
from triton_models.modeling.audio.spectrum import LATENT_RATE_HZ
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS
from triton_models.modeling.dit import Text

_TIME_FEATURES = 128
_MODULATIONS = 9
"""Shift, scale and gate of self-attention, attention to the tracks and feed-forward."""


@dataclass(frozen=True, kw_only=True)
class AudioDiTConfig:
    """Size of an audio transformer; `width` divides by `heads`."""

    channels: int = 64
    width: int = 96
    depth: int = 4
    heads: int = 4
    text_width: int = 96
    window_s: float = 1.0
    """How far audio latents see each other."""


@dataclass(frozen=True)
class AudioConditions:
    """What the sound should fit."""

    text: Text
    tracks_BVC: Tensor
    """[B, V, TOKEN_CHANNELS]: `tracks.track_tokens`."""
    track_seconds_V: Tensor
    """When each track token happens."""
    wishes_BC: Tensor
    """[B, len(CONDITIONS)]: `cues.condition_vector`."""

    def without_words(self) -> AudioConditions:
        """The same picture and flags with no text and no ambience named: what guidance leads away from."""
        words = Text(self.text.embeddings_BKD, torch.zeros_like(self.text.mask_BK))
        flags_only = torch.cat([self.wishes_BC[:, :2], torch.zeros_like(self.wishes_BC[:, 2:])], dim=1)
        return replace(self, text=words, wishes_BC=flags_only)

    def stacked_on(self, other: AudioConditions) -> AudioConditions:
        """Both as one batch, this one first."""
        text = Text(
            torch.cat([self.text.embeddings_BKD, other.text.embeddings_BKD]),
            torch.cat([self.text.mask_BK, other.text.mask_BK]),
        )
        tracks, wishes = torch.cat([self.tracks_BVC, other.tracks_BVC]), torch.cat([self.wishes_BC, other.wishes_BC])
        return AudioConditions(text, tracks, self.track_seconds_V, wishes)


class AudioBlock(nn.Module):
    """One layer of the audio transformer."""

    def __init__(self, config: AudioDiTConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.attention = WindowedSelfAttention(width, heads, config.window_s)
        self.cross_norm = nn.LayerNorm(width, eps=1e-6)
        self.cross = CrossAttention(width, heads, config.text_width)
        self.picture = TimedCrossAttention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation_table = nn.Parameter(torch.zeros(_MODULATIONS, width))
        nn.init.zeros_(self.cross.out.weight)
        nn.init.zeros_(self.cross.out.bias)

    def forward(self, x_BLD: Tensor, modulation_BMD: Tensor, text: Text, picture: Picture) -> Tensor:
        """Takes and returns [B, L, D]."""
        rows = (modulation_BMD + self.modulation_table)[:, :, None].unbind(1)
        x_BLD = x_BLD + rows[2] * self.attention(_modulate(x_BLD, *rows[:2]), picture.seconds_L)
        x_BLD = x_BLD + self.cross(self.cross_norm(x_BLD), text.embeddings_BKD, text.mask_BK)
        seen = self.picture(_modulate(x_BLD, *rows[3:5]), picture.seconds_L, picture.tracks_BVD, picture.seconds_V)
        x_BLD = x_BLD + rows[5] * seen
        fed: Tensor = self.feed_forward(_modulate(x_BLD, *rows[6:8]))
        return x_BLD + rows[8] * fed


@dataclass(frozen=True)
class Picture:
    """Embedded tracks and the common time axis."""

    tracks_BVD: Tensor
    seconds_V: Tensor
    seconds_L: Tensor


class AudioDiT(nn.Module):
    """Velocity v = noise - data of audio latents at noise level t (1 is pure noise)."""

    def __init__(self, config: AudioDiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.latent_in = nn.Linear(config.channels, width)
        self.tracks_in = nn.Sequential(nn.Linear(TOKEN_CHANNELS, width), nn.SiLU(), nn.Linear(width, width))
        self.time = nn.Sequential(nn.Linear(_TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.wishes = nn.Linear(len(CONDITIONS), width)
        self.text_norm = nn.LayerNorm(config.text_width)
        self.null_text = nn.Parameter(torch.zeros(1, 1, config.text_width))
        self.modulation = nn.Linear(width, _MODULATIONS * width)
        self.blocks = nn.ModuleList(AudioBlock(config) for _ in range(config.depth))
        self.out_modulation = nn.Linear(width, 2 * width)
        self.latent_out = nn.Linear(width, config.channels)
        for layer in (self.out_modulation, self.latent_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, latent_BLC: Tensor, t_B: Tensor, given: AudioConditions) -> Tensor:
        """Returns the velocity in the shape of the latent."""
        seconds_L = (torch.arange(latent_BLC.shape[1], device=latent_BLC.device) + 0.5) / LATENT_RATE_HZ
        picture = Picture(self.tracks_in(given.tracks_BVC), given.track_seconds_V, seconds_L)
        text = self._words(given.text)
        condition_BD = fn.silu(self.time(_waves(t_B)) + self.wishes(given.wishes_BC))
        modulation_BMD = rearrange(self.modulation(condition_BD), "b (m d) -> b m d", m=_MODULATIONS)
        x_BLD = self.latent_in(latent_BLC)
        for block in self.blocks:
            x_BLD = block(x_BLD, modulation_BMD, text, picture)
        shift, scale = self.out_modulation(condition_BD)[:, None].chunk(2, dim=-1)
        velocity: Tensor = self.latent_out(_modulate(x_BLD, shift, scale))
        return velocity

    def _words(self, text: Text) -> Text:
        """The prompt after a learned token that is always visible: with every word masked, it is the null text."""
        null = self.null_text.expand(len(text.embeddings_BKD), 1, -1)
        return Text(
            torch.cat([null, self.text_norm(text.embeddings_BKD)], dim=1), fn.pad(text.mask_BK, (1, 0), value=True)
        )


def _modulate(x_BLD: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return fn.layer_norm(x_BLD, x_BLD.shape[-1:], eps=1e-6) * (1 + scale) + shift


def _waves(t_B: Tensor) -> Tensor:
    rates = torch.exp(-math.log(1e4) * torch.arange(_TIME_FEATURES // 2, device=t_B.device) * 2 / _TIME_FEATURES)
    angles = 1000 * t_B[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
