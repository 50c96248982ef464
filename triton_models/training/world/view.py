"""What the camera sees: the grid on which landscapes are painted, and the brush that paints on it.

Pictures are float32 [T, H, W, 3] in 0..1, with T one where nothing has moved yet. Coordinates are in shorter sides of
the frame: x from its middle to the right, y from the horizon downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .motion import HORIZON

Picture = NDArray[np.float32]
Grid = NDArray[np.float32]
"""Values that broadcast to [T, H, W]."""
Colour = tuple[float, float, float]

_PAN_SPEED = 0.2
"""Shorter sides a second."""
_ZOOM_GAIN, _ZOOM_S = 0.8, 4.0
"""A zoom grows towards this much more, with this time constant, so that it never ends in one pixel."""


@dataclass(frozen=True)
class View:
    """The grid of a clip."""

    times: Grid
    """[T, 1, 1] seconds."""
    x: Grid
    """[T or 1, 1, W]"""
    y: Grid
    """[T or 1, H, 1]"""
    pixel: Grid
    """[T or 1, 1, 1] size of a pixel."""
    shift: Grid
    """[T or 1, 1, 1] how far a panning camera has moved."""
    lens_x: Grid
    lens_y: Grid
    """[1, 1, W] and [1, H, 1] where drops fall before the lens: x and y, whatever the camera does."""
    width: float
    height: float

    @classmethod
    def through(cls, camera: str, times: NDArray[np.float64], width: int, height: int) -> View:
        """Returns what `camera` (one of CAMERAS) sees at `times` in a picture of width x height pixels."""
        shorter = min(width, height)
        moments = times.astype(np.float32)[:, None, None]
        still = np.zeros((1, 1, 1), np.float32)
        zoom = 1 + _ZOOM_GAIN * (1 - np.exp(-moments / _ZOOM_S)) if camera == "zoom" else still + 1
        columns = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / shorter
        rows = (np.arange(height, dtype=np.float32) + 0.5 - HORIZON * height) / shorter
        return cls(
            moments,
            columns[None, None, :] / zoom,
            rows[None, :, None] / zoom,
            1 / (shorter * zoom),
            _PAN_SPEED * moments if camera == "pan" else still,
            columns[None, None, :],
            rows[None, :, None],
            width / shorter,
            height / shorter,
        )

    @property
    def sky(self) -> float:
        """Height of the sky."""
        return HORIZON * self.height

    @property
    def depth(self) -> Grid:
        """0 at the horizon (and above) to 1 at the lower edge of the frame."""
        return (self.y / ((1 - HORIZON) * self.height)).clip(0, 1)

    def land(self, nearness: float = 1.0) -> Grid:
        """Returns x of things on the ground; what is far (nearness under 1) moves less when the camera pans."""
        return self.x + nearness * self.shift

    def inside(self, distance: Grid) -> Grid:
        """1 where a signed distance is negative, 0 outside, smooth over one pixel."""
        return (0.5 - distance / self.pixel).clip(0, 1)


def cover(picture: Picture, share: Grid, colour: Picture | Colour) -> Picture:
    """Returns the picture with `share` of every pixel in `colour`."""
    painted: Picture = picture + share[..., None] * (np.asarray(colour, np.float32) - picture)
    return painted


def blend(one: Picture | Colour, other: Picture | Colour, share: Grid | float) -> Picture:
    """Returns a colour between two; `share` is that of the other."""
    first = np.asarray(one, np.float32)
    weight = np.asarray(share, np.float32)[..., None]
    mixed: Picture = first + weight * (np.asarray(other, np.float32) - first)
    return mixed


class Dice:
    """The chances of one scene: whatever is repeated over the land draws its looks from here by its number."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 3))
        self.tint: Picture = rng.uniform(0.97, 1.03, 3).astype(np.float32)
        self.jitter = float(rng.uniform(-0.3, 0.3))
        self._faces: NDArray[np.float32] = rng.random(256, np.float32)

    def roll(self, cells: Grid, salt: int = 0) -> Grid:
        """Returns a number in 0..1 for each cell (whole numbers)."""
        rolled: Grid = self._faces[(cells.astype(np.int64) * 7 + salt * 31) % 256]
        return rolled


def cell_of(position: Grid, size: float) -> tuple[Grid, Grid]:
    """Returns the number of the cell in which each position lies, and its distance from the cell's middle."""
    cell = np.floor(position / size)
    return cell, position - (cell + 0.5) * np.float32(size)
