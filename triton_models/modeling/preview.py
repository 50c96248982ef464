"""Small pictures of a clip while it is still sampled: a learned linear map from latents to colours.

No decoder runs, so that a preview costs next to nothing (the map is fitted by `training.preview`).

Legend: B batch, C channels, F latent frames, H latent height, W latent width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as fn

from .checkpoint import write_atomically
from .flow import SamplerState

PREVIEW_FILE = "video_preview.safetensors"
_LONG_SIDE_PX = 224


@dataclass(frozen=True)
class LatentPreview:
    """colour = latent @ matrix + offset, cell by cell."""

    matrix: Tensor
    """[C, 3]"""
    offset: Tensor
    """[3], colours in -1..1."""

    @classmethod
    def find(cls, directory: Path) -> LatentPreview | None:
        """Loads the map of a model directory; None where there is none."""
        path = directory / PREVIEW_FILE
        if not path.exists():
            return None
        tensors = load(path.read_bytes())
        return cls(tensors["matrix"].float(), tensors["offset"].float())

    def save(self, directory: Path) -> None:
        """Writes the map of a model directory."""
        tensors = {"matrix": self.matrix.contiguous(), "offset": self.offset.contiguous()}
        write_atomically(directory / PREVIEW_FILE, save(tensors))

    def colours(self, latent_BFHWC: Tensor) -> Tensor:
        """Returns [B, F, H, W, 3], about the mean of the pixels that a cell stands for, -1..1."""
        return latent_BFHWC @ self.matrix + self.offset

    def picture(self, latent_BFHWC: Tensor) -> NDArray[np.uint8]:
        """Returns uint8 [height, width, 3] of the frame in the middle, enlarged to some two hundred pixels."""
        middle_HWC = latent_BFHWC[0, latent_BFHWC.shape[1] // 2]
        colours_1CHW = self.colours(middle_HWC).permute(2, 0, 1)[None]
        factor = max(1, _LONG_SIDE_PX // max(middle_HWC.shape[:2]))
        enlarged_CHW = fn.interpolate(colours_1CHW, scale_factor=factor, mode="bicubic")[0]
        levels = ((enlarged_CHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        pixels: NDArray[np.uint8] = levels.permute(1, 2, 0).contiguous().numpy()
        return pixels


def foreseen(before: SamplerState, after: SamplerState) -> Tensor:
    """Returns the data [B, F, H, W, C] that a step of flow matching was on the way to: its slope, followed to t = 0."""
    slope = (before.latent - after.latent) / (before.sigma - after.sigma)
    return after.latent - after.sigma * slope
