"""Decodes a user's picture and writes it anew, without anything but its pixels; runs in the sandboxed child process."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from services.common.sandbox_child import RefusedMediaError
from services.orchestrator.pictures.header import MAX_PIXELS, read_header

_MAX_SIDE_PX = 4096
"""No model draws larger."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sandbox target: {"picture", "output"}, local paths, to {}."""
    warnings.simplefilter("error")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        normalise(Path(request["picture"]), Path(request["output"]))
    except (MemoryError, RefusedMediaError):
        raise
    except Exception as exc:  # Pillow's decoders raise whatever a broken file leads them to.
        raise RefusedMediaError(f"cannot be read ({type(exc).__name__})") from exc
    return {}


def normalise(picture: Path, output: Path) -> None:
    """Writes PNG in RGB, upright, without any metadata; what is transparent becomes white."""
    header = read_header(picture.read_bytes())
    if header is None:
        raise RefusedMediaError("must be a PNG, JPEG or WebP")
    with Image.open(picture, formats=[header.format]) as image:
        if image.size != (header.width, header.height):
            raise RefusedMediaError("contradicts itself about its size")
        if getattr(image, "is_animated", False):
            raise RefusedMediaError("must not be animated")
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((_MAX_SIDE_PX, _MAX_SIDE_PX))
        rgb = _opaque(upright)
    # A new image, so that nothing of the old one's info is written along.
    Image.frombytes("RGB", rgb.size, rgb.tobytes()).save(output, "PNG", compress_level=1)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    background = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
