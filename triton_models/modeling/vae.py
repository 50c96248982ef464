"""The video VAE: 8 x 8 pixels and 4 frames to one cell of 16 channels, strictly causal in time.

The first pixel frame fills a block of four alone, so 1 + 4k frames become 1 + k latents. The encoder is one causal
convolution whose kernel is its stride, fitted by principal components, so the latent space is fixed before the
transformer trains. The decoder adds to the transposed projection what a causal convolutional network has learned to
refine. Norms are over channels alone: a norm over time or space would leak the future into the past.

Decoding walks latent frame by latent frame with a memory of past features, so a clip decodes to the same bits whole
or in chunks, and in the same memory whatever its length.

Legend: B batch, C channels, F frames (latent or pixel), H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as fn

from .shapes import LATENT_CHANNELS, SPATIAL_FACTOR, TEMPORAL_FACTOR

_BLOCK = TEMPORAL_FACTOR * SPATIAL_FACTOR * SPATIAL_FACTOR * 3

Memory = dict[nn.Module, Tensor]
"""The last frames each causal convolution has seen."""


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """Channels of the refining decoder at 1/8, 1/4, 1/2 and full resolution."""

    widths: tuple[int, int, int, int] = (64, 48, 32, 16)


class ChannelNorm(nn.Module):
    """Root-mean-square norm over the channels of each pixel of each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Takes and returns [B, C, F, H, W]."""
        return x_BCFHW * torch.rsqrt(x_BCFHW.square().mean(1, keepdim=True) + 1e-6) * self.gain


class CausalConv(nn.Conv3d):
    """A 3-D convolution that sees the current and past frames only; before the first frame it sees the first."""

    def __init__(self, channels_in: int, channels_out: int, frames: int) -> None:
        super().__init__(channels_in, channels_out, (frames, 3, 3), padding=(0, 1, 1))

    def forward(self, x_BCFHW: Tensor, memory: Memory | None = None) -> Tensor:
        """Continues from `memory`, and leaves there what the next call needs."""
        past = self.kernel_size[0] - 1
        if past:
            before = None if memory is None else memory.get(self)
            before = x_BCFHW[:, :, :1].expand(-1, -1, past, -1, -1) if before is None else before
            x_BCFHW = torch.cat((before, x_BCFHW), 2)
            if memory is not None:
                memory[self] = x_BCFHW[:, :, -past:]
        return super().forward(x_BCFHW)


class ResidualBlock(nn.Module):
    """Two causal convolutions around the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = ChannelNorm(channels), CausalConv(channels, channels, 3)
        self.norm2, self.conv2 = ChannelNorm(channels), CausalConv(channels, channels, 3)

    def forward(self, x_BCFHW: Tensor, memory: Memory | None = None) -> Tensor:
        """Takes and returns [B, C, F, H, W]."""
        h = self.conv1(fn.silu(self.norm1(x_BCFHW)), memory)
        h = self.conv2(fn.silu(self.norm2(h)), memory)
        result: Tensor = x_BCFHW + h
        return result


class Upsample(nn.Module):
    """Twice the height and width, and optionally learned twice the frames."""

    def __init__(self, channels_in: int, channels_out: int, *, in_time: bool) -> None:
        super().__init__()
        self.to_frames = nn.Conv3d(channels_in, 2 * channels_in, 1) if in_time else None
        self.conv = CausalConv(channels_in, channels_out, 1)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Returns [B, C', F or 2F, 2H, 2W]."""
        if self.to_frames is not None:
            x_BCFHW = rearrange(self.to_frames(x_BCFHW), "b (two c) f h w -> b c (f two) h w", two=2)
        x_BCFHW = x_BCFHW.repeat_interleave(2, 3).repeat_interleave(2, 4)
        upsampled: Tensor = self.conv(x_BCFHW)
        return upsampled


class Refiner(nn.Module):
    """What the decoder adds to the linear picture: from latents [B, C, F, h, w] to [B, 3, 4F, 8h, 8w]."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv_in = CausalConv(LATENT_CHANNELS, widths[0], 3)
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in widths[:3])
        self.ups = nn.ModuleList(Upsample(widths[index], widths[index + 1], in_time=index > 0) for index in range(3))
        self.merge = CausalConv(widths[3] + 3, widths[3], 3)
        self.conv_out = CausalConv(widths[3], 3, 1)
        nn.init.zeros_(self.conv_out.weight)
        if self.conv_out.bias is not None:
            nn.init.zeros_(self.conv_out.bias)

    def forward(self, latent: Tensor, rough: Tensor, memory: Memory | None) -> Tensor:
        """Returns the correction to `rough`, the linear picture [B, 3, 4F, 8h, 8w]."""
        x_BCFHW = self.conv_in(latent, memory)
        for block, up in zip(self.blocks, self.ups, strict=True):
            x_BCFHW = up(block(x_BCFHW, memory))
        x_BCFHW = self.merge(torch.cat((fn.silu(x_BCFHW), rough), 1), memory)
        correction: Tensor = self.conv_out(fn.silu(x_BCFHW))
        return correction


class VideoVAE(nn.Module):
    """Pixels in -1..1 [B, 3, F, H, W] to and from normalised latents [B, f, h, w, 16]."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(_BLOCK))
        self.register_buffer("basis", torch.eye(_BLOCK)[:LATENT_CHANNELS])
        self.register_buffer("scale", torch.ones(LATENT_CHANNELS))
        self.refiner = Refiner(config.widths)

    def encode(self, video_BCFHW: Tensor) -> Tensor:
        """Returns [B, f, h, w, 16], equal to the concatenation of `encode_chunks` to the bit.

        Raises:
            ValueError: the frames are not 1 + 4k, or height or width not a multiple of 8.
        """
        return torch.cat(list(self.encode_chunks([video_BCFHW])), 1)

    def encode_chunks(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encodes consecutive chunks [B, 3, F_i, H, W] of one clip, each to its latents [B, f_i, h, w, 16].

        Raises:
            ValueError: the first has not 1 + 4k frames, another not 4k, or height or width is not a multiple of 8.
        """
        for number, chunk in enumerate(chunks):
            frames, height, width = chunk.shape[2:]
            if (frames - (number == 0)) % TEMPORAL_FACTOR or height % SPATIAL_FACTOR or width % SPATIAL_FACTOR:
                raise ValueError(f"{frames} x {height} x {width} is off the grid; pad it with VideoShape.padded()")
            blocks = blocks_of(chunk) if number == 0 else _cut(chunk)
            # One latent frame at a time, as in decoding: a product of another size may round differently.
            yield torch.cat([(block - self.mean) @ self.basis.T / self.scale for block in torch.split(blocks, 1, 1)], 1)

    def forward(self, latent_BFHWC: Tensor) -> Tensor:
        """Decodes all frames in parallel, for training: [B, 3, 4f, 8h, 8w], the first three frames to be dropped."""
        return self._decode(latent_BFHWC, None)

    def decode(self, latent_BFHWC: Tensor) -> Tensor:
        """Returns [B, 3, F, H, W] in -1..1, equal to the concatenation of `decode_chunks` to the bit."""
        return torch.cat(list(self.decode_chunks(torch.split(latent_BFHWC, 1, 1))), 2)

    def decode_chunks(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decodes consecutive chunks [B, f_i, h, w, 16] of one clip, each to its frames [B, 3, F_i, H, W] in -1..1."""
        memory: Memory = {}
        first = True
        for chunk in chunks:
            frames = [self._decode(frame, memory) for frame in torch.split(chunk, 1, 1)]
            if first:
                frames[0] = frames[0][:, :, TEMPORAL_FACTOR - 1 :]
            first = False
            yield torch.cat(frames, 2).clamp(-1, 1)

    def _decode(self, latent_BFHWC: Tensor, memory: Memory | None) -> Tensor:
        rough = self.linear(latent_BFHWC)
        refined: Tensor = rough + self.refiner(rearrange(latent_BFHWC, "b f h w c -> b c f h w"), rough, memory)
        return refined

    def linear(self, latent_BFHWC: Tensor) -> Tensor:
        """Returns the picture before it is refined, [B, 3, 4f, 8h, 8w], the first three frames to be dropped."""
        blocks = latent_BFHWC * self.scale @ self.basis + self.mean
        return rearrange(blocks, "b f h w (c t p q) -> b c (f t) (h p) (w q)", c=3, t=TEMPORAL_FACTOR, p=SPATIAL_FACTOR)


def blocks_of(video_BCFHW: Tensor) -> Tensor:
    """Cuts 1 + 4k frames into the [B, f, h, w, 768] blocks that become latents; the first frame is repeated."""
    first = video_BCFHW[:, :, :1].expand(-1, -1, TEMPORAL_FACTOR - 1, -1, -1)
    return _cut(torch.cat((first, video_BCFHW), 2))


def _cut(video_BCFHW: Tensor) -> Tensor:
    """Cuts 4k frames into blocks [B, k, h, w, 768]."""
    return rearrange(
        video_BCFHW,
        "b c (f t) (h p) (w q) -> b f h w (c t p q)",
        t=TEMPORAL_FACTOR,
        p=SPATIAL_FACTOR,
        q=SPATIAL_FACTOR,
    )
