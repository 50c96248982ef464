"""Format and size of a picture from its first bytes, so that nothing is decoded that is not worth it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.common.formats import MAX_FIRST_FRAME_BYTES

MAX_PIXELS = 16_000_000
MIN_SIDE_PX = 16
MAX_ASPECT = 4
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_JPEG = b"\xff\xd8\xff"
# Start of frame, but for the codes among them that mean something else.
_JPEG_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
_JPEG_SCAN = 0xDA


@dataclass(frozen=True)
class PictureHeader:
    """What a picture says of itself."""

    format: Literal["PNG", "JPEG", "WEBP"]
    width: int
    height: int


def picture_problem(data: bytes) -> str | None:
    """What is wrong with a picture on its face; None when nothing is. Whether it can be decoded is seen elsewhere."""
    if len(data) > MAX_FIRST_FRAME_BYTES:
        return f"must have at most {MAX_FIRST_FRAME_BYTES // 2**20} MiB"
    header = read_header(data)
    if header is None:
        return "must be a PNG, JPEG or WebP"
    short, long = sorted((header.width, header.height))
    if short * long > MAX_PIXELS:
        return f"must have at most {MAX_PIXELS // 10**6} megapixels"
    if short < MIN_SIDE_PX or long > MAX_ASPECT * short:
        return f"must have sides of at least {MIN_SIDE_PX} pixels, and be at most {MAX_ASPECT} times as long as wide"
    return None


def read_header(data: bytes) -> PictureHeader | None:
    """Reads the header; None for anything that is no picture of these formats."""
    if data.startswith(_PNG) and len(data) >= 24:
        return PictureHeader("PNG", int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    if data.startswith(_JPEG):
        size = next(_jpeg_sizes(data), None)
        return PictureHeader("JPEG", *size) if size else None
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        size = _webp_size(data)
        return PictureHeader("WEBP", *size) if size else None
    return None


def _jpeg_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Walks over the segments; each but a few says how long it is."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # Padding.
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_SIZES:
            yield int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
            return
        elif marker == _JPEG_SCAN:
            return
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None
