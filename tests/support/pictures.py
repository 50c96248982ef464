"""Pictures and videos as users send them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A red disc on a blue slope: uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    picture: NDArray[np.uint8] = np.stack([x * 0, y * 160 // height, 255 - x * 160 // width], -1).astype(np.uint8)
    picture[np.hypot(x - width / 2, y - height / 2) < min(width, height) / 4] = (220, 40, 30)
    return picture


def encoded(picture: NDArray[np.uint8] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The file of a picture."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def write_video(path: Path, frames: NDArray[np.uint8], *, rate: Fraction | int = 24, tracks: int = 1) -> Path:
    """Writes uint8 [frames, height, width, 3] as MPEG-4 in the container that the name says, in equal tracks."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=rate) for _ in range(tracks)]
        for stream in streams:
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
            stream.codec_context.time_base = 1 / Fraction(rate)
        for stream in streams:
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, 1 / Fraction(rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path
