"""The spatial half of Open-Sora's autoencoder: 8 x 8 pixels of one frame to one cell of 4 channels.

It is the autoencoder of Stable Diffusion XL, in the sizes of PixArt-sigma's copy. Modules have the names that diffusers
gave them, under which all weights of this family are published.

Legend: N frames, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as fn

_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class SpatialConfig:
    """Sizes, by the names of diffusers' configuration; the defaults are the published ones."""

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    latent_channels: int = 4


class ResnetBlock(nn.Module):
    """Two convolutions around the identity."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, _EPS)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, 1, 1)
        self.norm2 = nn.GroupNorm(groups, channels_out, _EPS)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1)
        self.conv_shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns [N, C', H, W]."""
        h = self.conv1(fn.silu(self.norm1(x_NCHW)))
        h = self.conv2(fn.silu(self.norm2(h)))
        result: Tensor = self.conv_shortcut(x_NCHW) + h
        return result


class PixelAttention(nn.Module):
    """Every pixel attends to every pixel, with one head."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, _EPS)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(channels, channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Takes and returns [N, C, H, W]."""
        x_NLC = self.group_norm(x_NCHW).flatten(2).transpose(1, 2)
        attended = fn.scaled_dot_product_attention(self.to_q(x_NLC), self.to_k(x_NLC), self.to_v(x_NLC))
        result: Tensor = x_NCHW + self.to_out(attended).transpose(1, 2).view_as(x_NCHW)
        return result


class MidBlock(nn.Module):
    """The block at the lowest resolution."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, groups) for _ in range(2))
        self.attentions = nn.ModuleList([PixelAttention(channels, groups)])

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Takes and returns [N, C, H, W]."""
        result: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](x_NCHW)))
        return result


class Downsample(nn.Module):
    """Half the height and width, rounded down."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns [N, C, H // 2, W // 2]."""
        result: Tensor = self.conv(fn.pad(x_NCHW, (0, 1, 0, 1)))
        return result


class Upsample(nn.Module):
    """Twice the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns [N, C, 2H, 2W]."""
        result: Tensor = self.conv(fn.interpolate(x_NCHW, scale_factor=2.0, mode="nearest"))
        return result


def _resnets(channels_in: int, channels_out: int, blocks: int, groups: int) -> nn.Sequential:
    widths = (channels_in, *[channels_out] * blocks)
    return nn.Sequential(*(ResnetBlock(before, after, groups) for before, after in pairwise(widths)))


class DownBlock(nn.Module):
    """The encoder's blocks at one resolution, and, unless it is the last, the way to the next."""

    def __init__(self, resnets: nn.Sequential, channels: int, *, last: bool) -> None:
        super().__init__()
        self.resnets = resnets
        self.downsamplers = nn.Sequential() if last else nn.Sequential(Downsample(channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns [N, C', H', W']."""
        result: Tensor = self.downsamplers(self.resnets(x_NCHW))
        return result


class UpBlock(nn.Module):
    """The decoder's blocks at one resolution, and, unless it is the last, the way to the next."""

    def __init__(self, resnets: nn.Sequential, channels: int, *, last: bool) -> None:
        super().__init__()
        self.resnets = resnets
        self.upsamplers = nn.Sequential() if last else nn.Sequential(Upsample(channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns [N, C', H', W']."""
        result: Tensor = self.upsamplers(self.resnets(x_NCHW))
        return result


def _levels(kind: type[DownBlock | UpBlock], widths: tuple[int, ...], blocks: int, groups: int) -> nn.Sequential:
    before = (widths[0], *widths)
    return nn.Sequential(
        *(
            kind(_resnets(before[level], width, blocks, groups), width, last=level == len(widths) - 1)
            for level, width in enumerate(widths)
        )
    )


class Encoder(nn.Module):
    """Pixels to the mean and the logarithm of the variance of each latent."""

    def __init__(self, config: SpatialConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels, config.norm_num_groups
        self.conv_in = nn.Conv2d(3, widths[0], 3, 1, 1)
        self.down_blocks = _levels(DownBlock, widths, config.layers_per_block, groups)
        self.mid_block = MidBlock(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], _EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, 1, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """[N, 3, H, W] to [N, 8, h, w]."""
        x_NCHW = self.mid_block(self.down_blocks(self.conv_in(x_NCHW)))
        result: Tensor = self.conv_out(fn.silu(self.conv_norm_out(x_NCHW)))
        return result


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: SpatialConfig) -> None:
        super().__init__()
        widths, groups = config.block_out_channels[::-1], config.norm_num_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, 1, 1)
        self.mid_block = MidBlock(widths[0], groups)
        self.up_blocks = _levels(UpBlock, widths, config.layers_per_block + 1, groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], _EPS)
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, 1, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """[N, 4, h, w] to [N, 3, 8h, 8w]."""
        x_NCHW = self.up_blocks(self.mid_block(self.conv_in(x_NCHW)))
        result: Tensor = self.conv_out(fn.silu(self.conv_norm_out(x_NCHW)))
        return result


class SpatialVAE(nn.Module):
    """Frames in -1..1 to and from latents as the network makes them, not normalised."""

    def __init__(self, config: SpatialConfig) -> None:
        super().__init__()
        channels = config.latent_channels
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.post_quant_conv = nn.Conv2d(channels, channels, 1)

    def encode(self, frames_NCHW: Tensor) -> Tensor:
        """Returns the mean latent [N, 4, H // 8, W // 8]."""
        mean: Tensor = self.quant_conv(self.encoder(frames_NCHW)).chunk(2, 1)[0]
        return mean

    def decode(self, latent_NCHW: Tensor) -> Tensor:
        """Returns [N, 3, 8h, 8w]."""
        frames: Tensor = self.decoder(self.post_quant_conv(latent_NCHW))
        return frames
