"""The audio diffusion transformer: noisy latents, the picture's tracks and the wanted ambiences in, velocity out.

Each block: windowed self-attention, cross-attention to the tracks (what is seen, and the score of the music) on the
common axis of seconds, feed-forward; modulated by noise level and ambiences with one shared projection plus a table
per block (as the video transformer). Words come in as ambiences, read from the text embeddings by `ambience.py`. The
conventions of flow matching are those of `modeling.flow`.

Legend: B batch, L audio latents, C channels, A ambiences, D width, M modulations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn

from triton_models.modeling.audio.attention import TimedCrossAttention, WindowedSelfAttention
from triton_models.modeling.audio.cues import AMBIENCES
from triton_models.modeling.audio.spectrum import LATENT_RATE_HZ
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS

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
    window_s: float = 1.0
    """How far audio latents see each other and the picture."""


@dataclass(frozen=True)
class AudioConditions:
    """What the sound should fit."""

    tracks_BLC: Tensor
    """[B, L, TOKEN_CHANNELS]: `tracks.track_tokens`, one token for each latent."""
    ambience_BA: Tensor
    """[B, len(AMBIENCES)]: `cues.condition_vector`."""


class AudioBlock(nn.Module):
    """One layer of the audio transformer."""

    def __init__(self, config: AudioDiTConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.attention = WindowedSelfAttention(width, heads, config.window_s)
        self.picture = TimedCrossAttention(width, heads, config.window_s)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation_table = nn.Parameter(torch.zeros(_MODULATIONS, width))

    def forward(self, x_BLD: Tensor, modulation_BMD: Tensor, tracks_BLD: Tensor, seconds_L: Tensor) -> Tensor:
        """Takes and returns [B, L, D]."""
        rows = (modulation_BMD + self.modulation_table)[:, :, None].unbind(1)
        x_BLD = x_BLD + rows[2] * self.attention(_modulate(x_BLD, *rows[:2]), seconds_L)
        x_BLD = x_BLD + rows[5] * self.picture(_modulate(x_BLD, *rows[3:5]), tracks_BLD, seconds_L)
        fed: Tensor = self.feed_forward(_modulate(x_BLD, *rows[6:8]))
        return x_BLD + rows[8] * fed


class AudioDiT(nn.Module):
    """Velocity v = noise - data of audio latents at noise level t (1 is pure noise)."""

    def __init__(self, config: AudioDiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.latent_in = nn.Linear(config.channels, width)
        self.tracks_in = nn.Sequential(nn.Linear(TOKEN_CHANNELS, width), nn.SiLU(), nn.Linear(width, width))
        self.time = nn.Sequential(nn.Linear(_TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.ambience = nn.Linear(len(AMBIENCES), width)
        self.modulation = nn.Linear(width, _MODULATIONS * width)
        self.blocks = nn.ModuleList(AudioBlock(config) for _ in range(config.depth))
        self.out_modulation = nn.Linear(width, 2 * width)
        self.latent_out = nn.Linear(width, config.channels)
        for layer in (self.out_modulation, self.latent_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, latent_BLC: Tensor, t_B: Tensor, given: AudioConditions) -> Tensor:
        """Returns the velocity in the shape of the latent."""
        seconds_L = latent_seconds(latent_BLC.shape[1]).to(latent_BLC.device)
        condition_BD = fn.silu(self.time(_waves(t_B)) + self.ambience(given.ambience_BA))
        modulation_BMD = rearrange(self.modulation(condition_BD), "b (m d) -> b m d", m=_MODULATIONS)
        tracks_BLD, x_BLD = self.tracks_in(given.tracks_BLC), self.latent_in(latent_BLC)
        for block in self.blocks:
            x_BLD = block(x_BLD, modulation_BMD, tracks_BLD, seconds_L)
        shift, scale = self.out_modulation(condition_BD)[:, None].chunk(2, dim=-1)
        velocity: Tensor = self.latent_out(_modulate(x_BLD, shift, scale))
        return velocity


def latent_seconds(latents: int) -> Tensor:
    """[L] the middle of each latent."""
    return (torch.arange(latents) + 0.5) / LATENT_RATE_HZ


def _modulate(x_BLD: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return fn.layer_norm(x_BLD, x_BLD.shape[-1:], eps=1e-6) * (1 + scale) + shift


def _waves(t_B: Tensor) -> Tensor:
    rates = torch.exp(-math.log(1e4) * torch.arange(_TIME_FEATURES // 2, device=t_B.device) * 2 / _TIME_FEATURES)
    angles = 1000 * t_B[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
