"""Twice the height and width of finished frames, learned: what bilinear scaling cannot know, such as where edges run.

Each frame is scaled alone, so chunks equal the whole to the bit and nothing is remembered between frames.

Legend: F frames, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from .engine import arithmetic, device_of

FACTOR = 2


@dataclass(frozen=True, kw_only=True)
class UpsamplerConfig:
    """Size of the network, all of which works at the small size."""

    width: int = 16
    depth: int = 3


class Upsampler(nn.Module):
    """Bilinear scaling and a learned correction to it, which starts at nothing."""

    def __init__(self, config: UpsamplerConfig) -> None:
        super().__init__()
        self.conv_in = _conv(3, config.width)
        self.layers = nn.ModuleList(_conv(config.width, config.width) for _ in range(config.depth))
        self.conv_out = _conv(config.width, 3 * FACTOR**2)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, video_FCHW: Tensor) -> Tensor:
        """Takes [F, 3, H, W] and returns [F, 3, 2H, 2W], both in -1..1 (slightly beyond is possible)."""
        x_FCHW = self.conv_in(video_FCHW)
        for layer in self.layers:
            x_FCHW = x_FCHW + layer(fn.silu(x_FCHW))
        correction = fn.pixel_shuffle(self.conv_out(fn.silu(x_FCHW)), FACTOR)
        scaled: Tensor = fn.interpolate(video_FCHW, scale_factor=FACTOR, mode="bilinear") + correction
        return scaled

    @torch.inference_mode()
    def enlarge(self, frames: NDArray[np.uint8], precision: str = "bfloat16") -> NDArray[np.uint8]:
        """Returns uint8 [F, 2H, 2W, 3] of uint8 [F, H, W, 3]; frames give the same bits one by one and together."""
        device = device_of(self)
        with arithmetic(precision, device):
            return np.concatenate([self._enlarge_one(torch.from_numpy(frame).to(device)) for frame in frames])

    def _enlarge_one(self, frame_HWC: Tensor) -> NDArray[np.uint8]:
        scaled: Tensor = self(frame_HWC.permute(2, 0, 1)[None].float() / 127.5 - 1)
        levels = ((scaled.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        large: NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return large


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="replicate")
