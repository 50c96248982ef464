"""Sizes as OpenAI writes them, and what they are here: a resolution and an aspect ratio."""

from __future__ import annotations

from fractions import Fraction

from services.common.errors import InvalidArgument

DEFAULT_SIZE = "720x1280"
"""OpenAI's."""
_SHORT_SIDES_PX = {"480P": 480, "720P": 720, "1080P": 1080, "4K": 2160}
_ASPECT_RATIOS = {"16:9": Fraction(16, 9), "9:16": Fraction(9, 16), "1:1": Fraction(1), "4:3": Fraction(4, 3)}
# OpenAI's large sizes are no multiple of a resolution that is delivered here; these are the nearest.
_NEAREST = {"1024x1792": ("1080P", "9:16"), "1792x1024": ("1080P", "16:9")}


def size_of(resolution: str, aspect_ratio: str) -> str:
    """The delivered size, e.g. "854x480"; as the transcoder works it out."""
    short, aspect = _SHORT_SIDES_PX[resolution], _ASPECT_RATIOS[aspect_ratio]
    long = 2 * round(short * max(aspect, 1 / aspect) / 2)
    return f"{long}x{short}" if aspect >= 1 else f"{short}x{long}"


SIZES = _NEAREST | {
    size_of(resolution, aspect): (resolution, aspect) for resolution in _SHORT_SIDES_PX for aspect in _ASPECT_RATIOS
}


def read_size(size: object) -> tuple[str, str]:
    """Resolution and aspect ratio of a size.

    Raises:
        InvalidArgument: It is none of those that can be delivered.
    """
    if isinstance(size, str) and size in SIZES:
        return SIZES[size]
    raise InvalidArgument.of_field("size", f"must be one of {', '.join(SIZES)}")
