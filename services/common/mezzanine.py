"""Lossless video, FFV1 in Matroska: written as frames come, and read whole.

What is read here was written by a service, never by a user.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

_PIXELS = "bgr0"
"""FFV1's lossless 8-bit RGB."""


class MezzanineWriter:
    """Encodes one clip at its size and rate; use it from one thread at a time."""

    def __init__(self, path: Path, *, width: int, height: int, fps: float) -> None:
        # Without this the muxer draws random ids, and the same frames would never make the same object.
        self._container = av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"})
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("ffv1", rate=rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, _PIXELS
        # Level 3 has a checksum in every slice, so that a damaged file is found out.
        self._stream.codec_context.options = {"level": "3", "slicecrc": "1", "flags": "+bitexact"}
        self._time_base = 1 / rate
        self.frames = 0
        """Frames written so far."""

    def add(self, frames: NDArray[np.uint8]) -> None:
        """Appends uint8 [frames, height, width, 3], RGB."""
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=_PIXELS)
            frame.pts, frame.time_base = self.frames, self._time_base
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def finish(self) -> None:
        """Completes the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Gives the file up; harmless after `finish`."""
        self._container.close()


def read_frames(path: Path) -> NDArray[np.uint8]:
    """Returns uint8 [frames, height, width, 3], RGB, of a mezzanine or of a PNG.

    Raises:
        av.FFmpegError: It cannot be decoded.
    """
    container_format = "png_pipe" if path.suffix == ".png" else "matroska"
    with av.open(str(path), format=container_format, options={"protocol_whitelist": "file"}) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
