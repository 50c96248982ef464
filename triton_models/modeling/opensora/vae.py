"""Open-Sora's video autoencoder: each frame by the spatial half, then batches of 17 frames by the temporal half.

A batch of 17 frames becomes 5 latent frames, and batches know nothing of each other, so a clip decodes batch by batch
in the same memory whatever its length.

Legend: B batch, C channels, F frames (latent or pixel), H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor, nn

from ..shapes import LatentShape, VideoShape
from .spatial_vae import SpatialConfig, SpatialVAE
from .temporal_vae import TemporalConfig, TemporalVAE

SPATIAL_FACTOR = 8
_SPATIAL_SCALE = 0.18215
"""What the temporal half was trained to see spatial latents multiplied by."""
_FRAMES_AT_ONCE = 4
"""Frames that go through the spatial half together: it is what needs most memory, and does not care."""


@dataclass(frozen=True, kw_only=True)
class OpenSoraVAEConfig:
    """Sizes of both halves; the defaults are the published ones."""

    spatial: SpatialConfig = field(default_factory=SpatialConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    batch: int = 17
    """Frames of a batch."""

    def latent(self, shape: VideoShape) -> LatentShape:
        """Returns the latent of a clip; pixels that do not fill a cell of 8 x 8 are lost."""
        whole, rest = divmod(shape.frames, self.batch)
        frames = whole * self.latent_batch - (-rest // self.temporal.factor)
        height, width = shape.height // SPATIAL_FACTOR, shape.width // SPATIAL_FACTOR
        return LatentShape(frames, height, width, self.temporal.channels)

    @property
    def latent_batch(self) -> int:
        """Latent frames of a batch."""
        return -(-self.batch // self.temporal.factor)


class OpenSoraVAE(nn.Module):
    """Pixels in -1..1 [B, 3, F, H, W] to and from normalised latents [B, f, h, w, 4]."""

    shift: Tensor
    scale: Tensor

    def __init__(self, config: OpenSoraVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.spatial, self.temporal = SpatialVAE(config.spatial), TemporalVAE(config.temporal)
        self.register_buffer("shift", torch.zeros(config.temporal.channels))
        self.register_buffer("scale", torch.ones(config.temporal.channels))

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        """Returns the means of the latents, [B, f, H // 8, W // 8, 4]: nothing is drawn."""
        batches = torch.split(video_BCFHW, self.config.batch, 2)
        latent_BCFHW = torch.cat([self.temporal.encode(self._encode_frames(batch)) for batch in batches], 2)
        return (rearrange(latent_BCFHW, "b c f h w -> b f h w c") - self.shift) / self.scale

    def decode(self, latent_BFHWC: Tensor, frames: int) -> Tensor:
        """Returns [B, 3, frames, 8h, 8w], not clamped."""
        return torch.cat(list(self.decode_batches(latent_BFHWC, frames)), 2)

    def decode_batches(self, latent_BFHWC: Tensor, frames: int) -> Iterator[Tensor]:
        """Decodes a clip of so many frames batch by batch, each to [B, 3, F_i, 8h, 8w], not clamped."""
        latent_BCFHW = rearrange(latent_BFHWC * self.scale + self.shift, "b f h w c -> b c f h w")
        for number, batch in enumerate(torch.split(latent_BCFHW, self.config.latent_batch, 2)):
            length = min(self.config.batch, frames - number * self.config.batch)
            yield self._decode_frames(self.temporal.decode(batch, length))

    def _encode_frames(self, video_BCFHW: Tensor) -> Tensor:
        parts = torch.split(rearrange(video_BCFHW, "b c f h w -> (b f) c h w"), _FRAMES_AT_ONCE)
        encoded = torch.cat([self.spatial.encode(part) for part in parts]) * _SPATIAL_SCALE
        return rearrange(encoded, "(b f) c h w -> b c f h w", f=video_BCFHW.shape[2])

    def _decode_frames(self, latent_BCFHW: Tensor) -> Tensor:
        parts = torch.split(rearrange(latent_BCFHW, "b c f h w -> (b f) c h w"), _FRAMES_AT_ONCE)
        decoded = torch.cat([self.spatial.decode(part / _SPATIAL_SCALE) for part in parts])
        return rearrange(decoded, "(b f) c h w -> b c f h w", f=latent_BCFHW.shape[2])
