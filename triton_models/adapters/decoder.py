"""What the decoders of all families share: the latents of a clip in, its frames out, as they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.common.catalogue import TritonModel
from triton_models.adapters.clips import Grid, latent_size, plan_clip, to_pixels
from triton_models.adapters.placement import Placement
from triton_models.serving.decoder import DecodedClip
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_latents
from triton_models.serving.requests import VaeRequest


@dataclass(frozen=True, kw_only=True)
class FamilyDecoder(ABC):
    """The decoder of one family, loaded. It moves no lips: what is spoken is for the sound alone."""

    entry: TritonModel
    vae: Any
    placement: Placement
    grid: Grid
    digest: str

    @abstractmethod
    def videos(self, latent: Tensor, chunk_frames: int) -> Iterator[Tensor]:
        """Yields consecutive parts [1, 3, F, H, W] in -1..1 of the clip that the latent [1, C, F, H, W] decodes to."""

    @property
    def channels(self) -> int:
        """Of a latent."""
        return int(self.vae.config["latent_channels"])

    def decode(self, request: VaeRequest) -> DecodedClip:
        """Decodes, and crops to the clip's length."""
        plan = plan_clip(self.entry.native, request, self.grid)
        latent = read_latents(request.latents)
        wanted = (*latent_size(plan), self.channels)
        if tuple(latent.shape[1:]) != wanted:
            raise InvalidRequest(f"latents of {tuple(latent.shape[1:])} are not of {wanted}")
        chunks = self._frames(latent, request.chunk_frames, plan.frames)
        return DecodedClip(frames=plan.frames, height=plan.height, width=plan.width, fps=plan.fps, chunks=chunks)

    def probe(self) -> bool:
        """The first frame of the smallest latent."""
        # Of two latents each way: padding by reflection needs a neighbour.
        return len(next(self._frames(torch.zeros(1, 1, 2, 2, self.channels), 1, 1))) == 1

    def _frames(self, latent_BFHWC: Tensor, chunk_frames: int, frames: int) -> Iterator[NDArray[np.uint8]]:
        latent_BCFHW = latent_BFHWC.permute(0, 4, 1, 2, 3).to(self.placement.device, self.placement.dtype)
        with self.placement.using(self.vae):
            videos = self.videos(latent_BCFHW, chunk_frames)
            while frames:
                with torch.inference_mode():
                    chunk = to_pixels(next(videos)[0])[:frames]
                frames -= len(chunk)
                yield chunk
