"""What may be asked for: every service that checks a request checks it against these."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from fractions import Fraction

MAX_PROMPT = 2000
"""Code points after NFC."""
MAX_STYLE = 500
"""Code points that a style preset may add to a prompt or a negative prompt."""
MAX_STYLED_PROMPT = MAX_PROMPT + MAX_STYLE
"""Code points of a prompt in the words of its style."""
MAX_FIRST_FRAME_BYTES = 10 * 2**20
"""Of the encoded picture. In base64 it still fits into a request as the gateway bounds it."""
MAX_PREVIEW_BYTES = 32 * 2**10
"""Of a preview's JPEG."""
SHORT_SIDES_PX: Mapping[str, int] = {"480P": 480, "720P": 720, "1080P": 1080, "4K": 2160}
"""Resolutions and their short sides."""
ASPECT_RATIOS: Mapping[str, Fraction] = {
    "16:9": Fraction(16, 9),
    "9:16": Fraction(9, 16),
    "1:1": Fraction(1),
    "4:3": Fraction(4, 3),
}
"""Width to height."""
FRAME_RATES = (24, 30, 60)
"""Frames per second."""
MAX_DURATION_S = 60.0


def jpeg_url(jpeg: bytes) -> str:
    """A picture as a data: URL, which JSON can carry and a browser can show."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
