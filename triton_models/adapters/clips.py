"""How a clip lies on a family's grid of latents, and how its frames come out.

Frames are made up to a whole number of latents and cropped; widths and heights are whole by the catalogue.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from services.common.catalogue import Native
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.native import native_size
from triton_models.serving.requests import ClipRequest


class Grid(NamedTuple):
    """The proportions of a family's latents."""

    spatial: int
    """Pixels to a latent, each way."""
    temporal: int
    """Frames to a latent frame; the first frame stands alone."""
    patch: int
    """Latents to a token of the transformer, each way."""

    def check(self, native: Native) -> None:
        """Raises ValueError if a size of the catalogue is not a whole number of tokens."""
        unit = self.spatial * self.patch
        for aspect, size in native.sizes.items():
            if any(side % unit for side in size):
                raise ValueError(f"native.sizes of {aspect} must divide by {unit}, and {size} does not")


def plan_clip(native: Native, request: ClipRequest, grid: Grid) -> ClipPlan:
    """Returns the plan of a clip.

    Raises:
        InvalidRequest: the model does not make such clips.
    """
    width, height = native_size(native, request)
    frames = max(1, round(request.duration_s * native.fps))
    return clip_plan(frames, height, width, native.fps, grid)


def clip_plan(frames: int, height: int, width: int, fps: float, grid: Grid) -> ClipPlan:
    """Returns a plan on the grid."""
    return ClipPlan(
        frames=frames,
        height=height,
        width=width,
        fps=fps,
        spatial_factor=grid.spatial,
        temporal_factor=grid.temporal,
    )


def latent_size(plan: ClipPlan) -> tuple[int, int, int]:
    """Returns frames, height and width in latents; the frames cover at least the plan's."""
    frames = 1 + math.ceil((plan.frames - 1) / plan.temporal_factor)
    return frames, plan.height // plan.spatial_factor, plan.width // plan.spatial_factor


def padded_frames(plan: ClipPlan) -> int:
    """Returns the frames that the latents decode to."""
    return 1 + (latent_size(plan)[0] - 1) * plan.temporal_factor


def to_pixels(video_CFHW: Tensor) -> NDArray[np.uint8]:
    """Returns uint8 [F, H, W, 3] of a clip in -1..1, rounded as diffusers' VideoProcessor does."""
    unit = (video_CFHW * 0.5 + 0.5).clamp(0, 1)
    levels: NDArray[np.uint8] = (unit.cpu().permute(1, 2, 3, 0).float().numpy() * 255).round().astype(np.uint8)
    return levels
