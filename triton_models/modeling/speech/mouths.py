"""Where the mouth of a talking face is, and how far it is open, by its colours.

A face that speaks is frontal and in the middle of the picture, as in every talking face that the video model has seen.
Lengths are in shorter sides of the frame.

Legend: T frames, H/W height and width in pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Plane = NDArray[np.float64]

MOUTH_BELOW_MIDDLE = 0.18
_REACH_X, _REACH_Y = 0.22, 0.17
"""Of the area that holds the mouth, whatever it does, from its middle."""
_LUMINANCE = np.array([0.30, 0.59, 0.11])
_FULLY_OPEN = 0.19
"""Height of the dark inside of a mouth at aperture 1."""


class MouthArea(NamedTuple):
    """Where in a picture the mouth is, in pixels."""

    top: int
    bottom: int
    left: int
    right: int


def mouth_area(height: int, width: int) -> MouthArea:
    """The area of a picture of this size."""
    shorter = min(height, width)
    x, y = width / 2, height / 2 + MOUTH_BELOW_MIDDLE * shorter
    return MouthArea(
        max(round(y - _REACH_Y * shorter), 0),
        min(round(y + _REACH_Y * shorter), height),
        max(round(x - _REACH_X * shorter), 0),
        min(round(x + _REACH_X * shorter), width),
    )


def openings(frames_THW3: Frames) -> Plane:
    """[T] 0 closed to 1: the height of the dark inside of the mouth along its middle."""
    height, width = frames_THW3.shape[1:3]
    shorter = min(height, width)
    area = mouth_area(height, width)
    middle = slice(round(width / 2 - 0.04 * shorter), round(width / 2 + 0.04 * shorter) + 1)
    strip = frames_THW3[:, area.top : area.bottom, middle] / 255
    darkness = np.clip((0.36 - strip @ _LUMINANCE) / 0.22, 0, 1)
    tall: Plane = darkness.mean(axis=2).sum(axis=1) / (shorter * _FULLY_OPEN)
    return np.clip(tall, 0, 1)
