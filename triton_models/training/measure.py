"""Looks for a coloured object in a clip and says what it is and how it moves, by rules alone.

Clips are uint8 [T, H, W, 3]. Positions and lengths are shares of the frame's shorter side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .world.render import PALETTE, silhouette
from .world.scene import SHAPES

_LEAST_AREA = 0.004
"""Share of the frame below which nothing is seen."""


@dataclass(frozen=True)
class Sighting:
    """Where the object was; positions hold for the frames in which it was seen."""

    seen: NDArray[np.bool_]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: NDArray[np.float64]
    """Share of the frame."""
    shape: str
    """The member of SHAPES that fits best."""


def colour_mask(clip: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    """Returns [T, H, W], True where a pixel has the hue of `colour` (for white: is bright and grey).

    The background is what most frames show at a place; pixels like it do not count.
    """
    pixels = clip.astype(np.float32) / 255
    background = np.median(pixels, axis=(0, 2), keepdims=True)
    differs = np.abs(pixels - background).max(-1) > 0.15
    chroma = pixels - pixels.mean(-1, keepdims=True)
    saturation = np.linalg.norm(chroma, axis=-1)
    if colour == "white":
        white: NDArray[np.bool_] = differs & (saturation < 0.12) & (pixels.mean(-1) > 0.72)
        return white
    goal = np.asarray(PALETTE[colour], np.float32)
    goal = goal - goal.mean()
    likeness = (chroma @ goal) / (saturation * np.linalg.norm(goal) + 1e-6)
    mask: NDArray[np.bool_] = differs & (saturation > 0.15) & (likeness > 0.93)
    return mask


def find_object(clip: NDArray[np.uint8], colour: str) -> Sighting:
    """Returns where something of `colour` is, and which shape fits it best."""
    mask = colour_mask(clip, colour)
    height, width = mask.shape[1:]
    weight = mask.sum((1, 2)).astype(float)
    seen = weight > _LEAST_AREA * height * width
    safe = np.maximum(weight, 1)
    shorter = min(height, width)
    x = (mask.sum(1) @ (np.arange(width) + 0.5)) / safe / shorter
    y = (mask.sum(2) @ (np.arange(height) + 0.5)) / safe / shorter
    return Sighting(seen, x, y, weight / (height * width), _best_shape(mask[seen]))


def _best_shape(masks: NDArray[np.bool_]) -> str:
    """The shape whose silhouette, cut to the same box, overlaps best over (at most 12 of) the frames."""
    if not len(masks):
        return "none"
    overlap = dict.fromkeys(SHAPES, 0.0)
    for mask in masks[np.linspace(0, len(masks) - 1, min(12, len(masks))).astype(int)]:
        box = _box(mask)
        for shape in SHAPES:
            template = silhouette(shape, *box.shape)
            overlap[shape] += float((box & template).sum() / (box | template).sum())
    return max(overlap, key=lambda shape: overlap[shape])


def _box(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The smallest rows and columns that hold all but stray pixels."""
    rows, columns = (np.flatnonzero(mask.sum(axis) > 1) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return mask
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def motion_of(sighting: Sighting) -> str:
    """Returns left, right, up, down, bounce (up and down again and again), grow, orbit or still."""
    if sighting.seen.sum() < 4:
        return "none"
    x, y = sighting.x[sighting.seen], sighting.y[sighting.seen]
    span_x, span_y = np.ptp(x), np.ptp(y)
    if max(span_x, span_y) < 0.12:
        quarter = max(1, len(x) // 4)
        area = sighting.area[sighting.seen]
        return "grow" if area[-quarter:].mean() > 1.8 * area[:quarter].mean() else "still"
    net_x, net_y = x[-3:].mean() - x[:3].mean(), y[-3:].mean() - y[:3].mean()
    if min(span_x, span_y) > 0.5 * max(span_x, span_y) and _turns(x) + _turns(y) >= 2:
        return "orbit"
    if span_x > span_y:
        return _sign(net_x, "left", "right")
    if abs(net_y) > 0.75 * span_y and _turns(y) < 2:
        return _sign(net_y, "up", "down")
    return "bounce"


def _sign(value: float, negative: str, positive: str) -> str:
    return positive if value > 0 else negative


def _turns(y: NDArray[np.float64]) -> int:
    """Changes of direction of a smoothed track, ignoring trembling."""
    smooth = np.convolve(y, np.ones(3) / 3, "valid")
    steps = np.diff(smooth)
    steps = steps[np.abs(steps) > 0.01]
    return int((np.sign(steps[1:]) != np.sign(steps[:-1])).sum())
