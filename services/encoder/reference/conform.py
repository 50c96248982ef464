"""Decodes a user's video and conforms it to a model's native size and rate; runs in the sandboxed child process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from services.common.mezzanine import MezzanineWriter
from services.common.sandbox_child import RefusedMediaError
from services.encoder.reference.request import ConformRequest

_EBML = b"\x1aE\xdf\xa3"
_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
_MAX_STREAMS = 16
_MAX_SIDE_PX = 4096
_MAX_FPS = 240
_MAX_ASPECT = 4
_THREADS = 2


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sandbox target: ConformRequest to {"frames": how many there are now}."""
    return {"frames": conform(ConformRequest(**request))}


def conform(request: ConformRequest) -> int:
    """Writes the frame on show at each time of the output's rate, scaled to fill and cropped, until either ends."""
    path = Path(request.video)
    # The demuxer leaves out what is over, and one over is enough to refuse.
    options = {"protocol_whitelist": "file", "max_streams": str(_MAX_STREAMS + 1)}
    with av.open(str(path), format=_format_of(path), options=options) as container:
        stream = _picture_of(container)
        fit = _Fit(request.width, request.height)
        writer = MezzanineWriter(Path(request.output), width=request.width, height=request.height, fps=request.fps)
        for pixels in _at_rate(_frames(container, stream, request.duration_s), request):
            writer.add(fit(pixels)[None])
        if not writer.frames:
            raise RefusedMediaError("it has no frames")
        writer.finish()
    return writer.frames


def _format_of(path: Path) -> str:
    """By content, whatever its name or its server says: a playlist would have the demuxer open other files."""
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(_EBML):
        return "matroska"
    if head[4:8] in _BOXES:
        return "mov"
    raise RefusedMediaError("it is neither MP4, QuickTime, WebM nor Matroska")


def _picture_of(container: InputContainer) -> VideoStream:
    if len(container.streams) > _MAX_STREAMS:
        raise RefusedMediaError(f"it has more than {_MAX_STREAMS} tracks")
    if not container.streams.video:
        raise RefusedMediaError("it has no picture")
    stream = container.streams.video[0]
    short, long = sorted((stream.width, stream.height))
    if not 0 < short <= long <= min(_MAX_SIDE_PX, _MAX_ASPECT * short):
        raise RefusedMediaError(f"its frames are larger than {_MAX_SIDE_PX} pixels, or longer than {_MAX_ASPECT}:1")
    stream.codec_context.thread_count = _THREADS
    return stream


def _frames(container: InputContainer, stream: VideoStream, duration_s: float) -> Iterator[tuple[float, VideoFrame]]:
    """Yields frames with their times from the first one's on, as long as they are wanted."""
    begun_s: float | None = None
    for count, frame in enumerate(container.decode(stream)):
        if count > duration_s * _MAX_FPS:
            raise RefusedMediaError(f"it has more than {_MAX_FPS} frames a second")
        if max(frame.width, frame.height) > _MAX_SIDE_PX:
            raise RefusedMediaError("its frames grow")
        if frame.pts is None:
            continue
        begun_s = frame.time if begun_s is None else begun_s
        yield frame.time - begun_s, frame
        if frame.time - begun_s >= duration_s:
            return


def _at_rate(frames: Iterator[tuple[float, VideoFrame]], request: ConformRequest) -> Iterator[VideoFrame]:
    """Yields for every time of the output the last frame that is not later, up to the time of the very last."""
    wanted = math.ceil(request.duration_s * request.fps)
    shown: VideoFrame | None = None
    made, time_s = 0, 0.0
    for time_s, frame in frames:
        while shown is not None and made < wanted and made / request.fps < time_s:
            yield shown
            made += 1
        shown = frame
    if shown is not None and made < wanted and made / request.fps <= time_s:
        yield shown


class _Fit:
    """Turns frames upright, scales them to fill a size and crops what is over, centred."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        turns = round(frame.rotation / 90) % 4
        width, height = (self._height, self._width) if turns % 2 else (self._width, self._height)
        scale = max(width / frame.width, height / frame.height)
        wide, high = max(width, round(scale * frame.width)), max(height, round(scale * frame.height))
        scaled = frame.reformat(width=wide, height=high, format="rgb24", interpolation="AREA").to_ndarray()
        left, top = (wide - width) // 2, (high - height) // 2
        return np.ascontiguousarray(np.rot90(scaled[top : top + height, left : left + width], turns))
