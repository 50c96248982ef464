"""The temporal half of Open-Sora's autoencoder: four frames of spatial latents to one.

Convolutions are causal, before the first frame all is zero; but norms run over all frames of a batch, so a batch
decodes as a whole or not at all. A batch whose length is not a multiple of four is filled up at its start.

Legend: B batch, C channels, F frames, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn


@dataclass(frozen=True, kw_only=True)
class TemporalConfig:
    """Sizes; the defaults are the published ones."""

    channels: int = 4
    width: int = 128
    blocks: int = 4
    """Residual blocks of each level."""
    multipliers: tuple[int, ...] = (1, 2, 2, 4)
    """Width of each level over `width`."""
    halved: tuple[bool, ...] = (False, True, True)
    """Whether time is halved between a level and the next."""
    groups: int = 32

    @property
    def factor(self) -> int:
        """Frames of one latent."""
        return int(2 ** sum(self.halved))

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


class CausalConv(nn.Conv3d):
    """A 3-D convolution that sees the current and past frames only; before the first frame all is zero."""

    def __init__(
        self, channels_in: int, channels_out: int, size: int = 3, *, stride: int = 1, bias: bool = True
    ) -> None:
        padding = (0, size // 2, size // 2)
        super().__init__(channels_in, channels_out, size, stride=(stride, 1, 1), padding=padding, bias=bias)
        self.past = size - stride

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Returns [B, C', F / stride, H, W]."""
        return super().forward(fn.pad(x_BCFHW, (0, 0, 0, 0, self.past, 0)))


class ResidualBlock(nn.Module):
    """Two causal convolutions around the identity."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, channels_in), CausalConv(channels_in, channels_out, bias=False)
        self.norm2, self.conv2 = nn.GroupNorm(groups, channels_out), CausalConv(channels_out, channels_out, bias=False)
        narrow = channels_in == channels_out
        self.shortcut = nn.Identity() if narrow else CausalConv(channels_in, channels_out, 1, bias=False)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Returns [B, C', F, H, W]."""
        h = self.conv1(fn.silu(self.norm1(x_BCFHW)))
        h = self.conv2(fn.silu(self.norm2(h)))
        result: Tensor = self.shortcut(x_BCFHW) + h
        return result


class Upsample(CausalConv):
    """Twice the frames, made of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * channels)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Returns [B, C, 2F, H, W]."""
        return rearrange(super().forward(x_BCFHW), "b (c two) f h w -> b c (f two) h w", two=2)


def _level(channels_in: int, channels_out: int, config: TemporalConfig) -> nn.Sequential:
    widths = (channels_in, *[channels_out] * config.blocks)
    return nn.Sequential(*(ResidualBlock(before, after, config.groups) for before, after in pairwise(widths)))


class Encoder(nn.Module):
    """Spatial latents to the mean and the logarithm of the variance of each latent."""

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = CausalConv(config.channels, config.width, bias=False)
        self.levels = nn.ModuleList(
            _level(before, width, config) for before, width in zip((config.width, *widths), widths, strict=False)
        )
        self.resamplers = nn.ModuleList(
            CausalConv(width, width, stride=2) if halved else nn.Identity()
            for width, halved in zip(widths, config.halved, strict=False)
        )
        self.deepest = _level(widths[-1], widths[-1], config)
        self.norm = nn.GroupNorm(config.groups, widths[-1])
        self.conv_out = CausalConv(widths[-1], 2 * config.channels, 1)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """[B, 4, F, H, W], F a multiple of the factor, to [B, 8, f, H, W]."""
        x_BCFHW = self.conv_in(x_BCFHW)
        for level, resampler in zip(self.levels, self.resamplers, strict=False):
            x_BCFHW = resampler(level(x_BCFHW))
        x_BCFHW = self.deepest(self.levels[-1](x_BCFHW))
        result: Tensor = self.conv_out(fn.silu(self.norm(x_BCFHW)))
        return result


class Decoder(nn.Module):
    """Latents to spatial latents; its levels are numbered as the encoder's, and run from the last to the first."""

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = CausalConv(config.channels, widths[-1])
        self.deepest = _level(widths[-1], widths[-1], config)
        self.levels = nn.ModuleList(
            _level(before, width, config) for width, before in zip(widths, (*widths[1:], widths[-1]), strict=True)
        )
        self.resamplers = nn.ModuleList(
            Upsample(width) if halved else nn.Identity()
            for width, halved in zip(widths[1:], config.halved, strict=True)
        )
        self.norm = nn.GroupNorm(config.groups, widths[0])
        self.conv_out = CausalConv(widths[0], config.channels)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """[B, 4, f, H, W] to [B, 4, f times the factor, H, W]."""
        x_BCFHW = self.deepest(self.conv_in(x_BCFHW))
        for level, resampler in zip(reversed(self.levels), reversed(self.resamplers), strict=False):
            x_BCFHW = resampler(level(x_BCFHW))
        result: Tensor = self.conv_out(fn.silu(self.norm(self.levels[0](x_BCFHW))))
        return result


class TemporalVAE(nn.Module):
    """Spatial latents of one batch of frames to and from latents as the network makes them, not normalised."""

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv = CausalConv(2 * config.channels, 2 * config.channels, 1)
        self.post_quant_conv = CausalConv(config.channels, config.channels, 1)

    def encode(self, x_BCFHW: Tensor) -> Tensor:
        """Returns the mean latent [B, 4, ceil(F / factor), H, W]."""
        filling = -x_BCFHW.shape[2] % self.config.factor
        moments = self.quant_conv(self.encoder(fn.pad(x_BCFHW, (0, 0, 0, 0, filling, 0))))
        mean: Tensor = moments.chunk(2, 1)[0]
        return mean

    def decode(self, z_BCFHW: Tensor, frames: int) -> Tensor:
        """Returns [B, 4, frames, H, W], for the number of frames that was encoded."""
        decoded: Tensor = self.decoder(self.post_quant_conv(z_BCFHW))
        return decoded[:, :, -frames % self.config.factor :]
