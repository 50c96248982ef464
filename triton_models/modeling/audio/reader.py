"""Reads from a clip's frames what should be heard: hits on the ground, motion, place.

It looks at decoded frames pooled to 24 x 24 and not at latents. Frames mean the same after the video autoencoder has
been trained again, so these weights stay valid, and training needs only the renderer. A small convolution finds where
things are (as expected coordinates, after Finn et al. 2016); a dilated convolution over time turns their paths into
tracks.

Legend: B batch, F frames, P 24 x 24 pixels, K key points, T track samples (50 a second).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from triton_models.modeling.audio.tracks import CHANNELS, TRACK_RATE_HZ, Hit, SoundTracks
from triton_models.modeling.shapes import SPATIAL_FACTOR, TEMPORAL_FACTOR
from triton_models.modeling.vae import VideoVAE

GRID = 24
_THRESHOLD = 0.4
"""Least impact strength that counts as a hit."""


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """Sizes of the reader."""

    channels: int = 16
    points: int = 8
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)


class PictureReader(nn.Module):
    """Frames to the raw values of the track channels."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.find = nn.Sequential(
            nn.Conv2d(6, config.channels, 3, padding=1), nn.SiLU(),
            nn.Conv2d(config.channels, config.channels, 3, padding=1), nn.SiLU(),
            nn.Conv2d(config.channels, config.points, 1),
        )  # fmt: skip
        self.enter = nn.Conv1d(4 * config.points + 1, config.width, 1)
        self.over_time = nn.ModuleList(
            nn.Conv1d(config.width, config.width, 5, padding=2 * gap, dilation=gap) for gap in config.dilations
        )
        self.leave = nn.Conv1d(config.width, len(CHANNELS), 1)

    def forward(self, frames_BFCP: Tensor, fps: float) -> Tensor:
        """[B, len(CHANNELS), T] from frames [B, F, 3, 24, 24] in 0..1 whose frame i is at i / fps seconds.

        `impact` is a logit; `impact_size` and `impact_pan` here are size and place themselves, meaningful at impacts.
        """
        x = self.enter(_resample(self._look(frames_BFCP), fps))
        for layer in self.over_time:
            x = x + layer(fn.silu(x))
        raw: Tensor = self.leave(fn.silu(x))
        return raw

    def _look(self, frames_BFCP: Tensor) -> Tensor:
        """[B, 4 K + 1, F]: where each key point is, how far it spreads, how sure it is; and how much has changed."""
        change = frames_BFCP.diff(dim=1, prepend=frames_BFCP[:, :1])
        maps = self.find(torch.cat([frames_BFCP, change], dim=2).flatten(0, 1))
        share = maps.flatten(2).softmax(dim=-1).view_as(maps)
        axis = torch.linspace(-1, 1, GRID, device=maps.device)
        y, x = (share.sum(3) * axis).sum(2), (share.sum(2) * axis).sum(2)
        y_spread = (share.sum(3) * axis**2).sum(2) - y**2
        points = torch.cat([y, x, y_spread, maps.amax(dim=(2, 3)) / 10], dim=1)
        seen = points.view(*frames_BFCP.shape[:2], -1)
        return torch.cat([seen, 10 * change.abs().mean(dim=(2, 3, 4))[..., None]], dim=-1).transpose(1, 2)


def _resample(features_BKF: Tensor, fps: float) -> Tensor:
    """Features at the tracks' instants, linear between frames."""
    frames = features_BKF.shape[-1]
    samples = max(round(frames / fps * TRACK_RATE_HZ), 1)
    at = (torch.arange(samples, device=features_BKF.device) + 0.5) / TRACK_RATE_HZ * fps
    left = at.long().clamp(max=frames - 1)
    share = (at - left).clamp(0, 1)
    return features_BKF[..., left].lerp(features_BKF[..., (left + 1).clamp(max=frames - 1)], share)


def pool_frames(frames_FHWC: NDArray[np.uint8]) -> Tensor:
    """uint8 [F, H, W, 3] of any size to float [F, 3, 24, 24] in 0..1."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(0, 3, 1, 2).float() / 255
    return fn.adaptive_avg_pool2d(pixels, GRID)


def pool_latents(vae: VideoVAE, latent_fhwC: Tensor) -> Tensor:
    """Latents [f, h, w, 16] to float [1 + 4 (f - 1), 3, 24, 24] in 0..1, through the linear part of the video decoder.

    At this size the refining part changes nothing that matters here, and costs a hundred times more.
    """
    blocks = latent_fhwC.float() * vae.scale @ vae.basis + vae.mean
    pixels = rearrange(
        blocks, "f h w (c t p q) -> (f t) c (h p) (w q)", c=3, t=TEMPORAL_FACTOR, p=SPATIAL_FACTOR, q=SPATIAL_FACTOR
    )
    return fn.adaptive_avg_pool2d((pixels[TEMPORAL_FACTOR - 1 :] + 1) / 2, GRID).clamp(0, 1)


@torch.inference_mode()
def read_tracks(reader: PictureReader, pooled_FCP: Tensor, fps: float) -> SoundTracks:
    """What the frames of one clip (from `pool_frames`) say about its sound."""
    raw = reader(pooled_FCP[None], fps)[0]
    impact, size, place, whoosh, roll, tone, pan = raw.cpu().numpy()
    strength, size, place = 1 / (1 + np.exp(-impact)), np.clip(size, 0, 1), np.clip(place, -1, 1)
    hits = tuple(
        Hit((peak + 0.5) / TRACK_RATE_HZ, *(float(curve[round(peak)]) for curve in (strength, size, place)))
        for peak in _peaks(strength)
    )
    whoosh, roll, tone = np.clip([whoosh, roll, tone], 0, 1)
    return SoundTracks(hits, whoosh, roll, tone, np.clip(pan, -1, 1))


def _peaks(curve: NDArray[np.float32]) -> Iterator[float]:
    """Places of the local maxima above the threshold, refined by the parabola through three samples."""
    padded = np.pad(curve, 1)
    for index in np.flatnonzero((curve > _THRESHOLD) & (curve >= padded[:-2]) & (curve > padded[2:])):
        before, here, after = padded[index : index + 3]
        yield float(index + 0.5 * (before - after) / (before - 2 * here + after))
