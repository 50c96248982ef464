"""The arithmetic of video shapes: pixels, latents and tokens.

The video VAE is causal: the first latent frame stands for one pixel frame, each further one for four, so a clip on
the grid has 1 + 4k frames. Height and width lie on multiples of 16 pixels: 8 of the VAE times the transformer's patch
of 2. Shapes off the grid are padded up to it and cropped after decoding.
"""

from __future__ import annotations

from typing import NamedTuple

SPATIAL_FACTOR = 8
TEMPORAL_FACTOR = 4
LATENT_CHANNELS = 16
PATCH = 2


def _ceil_to(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


class VideoShape(NamedTuple):
    """A clip in pixels."""

    frames: int
    height: int
    width: int

    @classmethod
    def from_duration(cls, duration_s: float, fps: float, height: int, width: int) -> VideoShape:
        """Returns the clip of round(duration * fps) frames, at least one."""
        return cls(max(1, round(duration_s * fps)), height, width)

    def padded(self) -> VideoShape:
        """Returns the smallest shape on the grid that holds this one."""
        grid = SPATIAL_FACTOR * PATCH
        frames = 1 + _ceil_to(self.frames - 1, TEMPORAL_FACTOR)
        return VideoShape(frames, _ceil_to(self.height, grid), _ceil_to(self.width, grid))

    def latent(self) -> LatentShape:
        """Returns the latent of the padded clip."""
        frames, height, width = self.padded()
        return LatentShape(
            1 + (frames - 1) // TEMPORAL_FACTOR, height // SPATIAL_FACTOR, width // SPATIAL_FACTOR, LATENT_CHANNELS
        )


class LatentShape(NamedTuple):
    """A clip in the latent space of the video VAE; stored as [F, H, W, C]."""

    frames: int
    height: int
    width: int
    channels: int

    def pixels(self) -> VideoShape:
        """Returns the padded clip that decodes from this latent."""
        frames = 1 + (self.frames - 1) * TEMPORAL_FACTOR
        return VideoShape(frames, self.height * SPATIAL_FACTOR, self.width * SPATIAL_FACTOR)

    def tokens(self) -> TokenGrid:
        """Returns the grid of transformer tokens.

        Raises:
            ValueError: height or width is not a multiple of the patch.
        """
        if self.height % PATCH or self.width % PATCH:
            raise ValueError(f"latent of {self.height} x {self.width} does not divide into patches of {PATCH}")
        return TokenGrid(self.frames, self.height // PATCH, self.width // PATCH)


class TokenGrid(NamedTuple):
    """Tokens of the transformer: patches of 1 x 2 x 2 latents."""

    frames: int
    rows: int
    columns: int

    @property
    def total(self) -> int:
        """All tokens of the clip."""
        return self.frames * self.rows * self.columns
