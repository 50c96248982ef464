"""Reads mezzanines: which source frame is shown when, and how a frame is conformed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from services.common.sandbox_child import RefusedMediaError

MAX_SIDE_PX = 4096
MAX_FPS = 240
_THREADS = 2
_ONLY_FILES = {"protocol_whitelist": "file"}


@contextmanager
def open_video(path: Path, container_format: str) -> Iterator[tuple[av.container.InputContainer, VideoStream]]:
    """Opens the only video stream of a file of a known format; nothing else is probed and nothing else opened."""
    with av.open(str(path), format=container_format, options=_ONLY_FILES) as container:
        if len(container.streams.video) != 1:
            raise RefusedMediaError("the file has not exactly one video stream")
        stream = container.streams.video[0]
        if not 0 < max(stream.width, stream.height) <= MAX_SIDE_PX:
            raise RefusedMediaError("the video's size is out of range")
        stream.codec_context.thread_count = _THREADS
        yield container, stream


def frame_rate(stream: VideoStream) -> Fraction:
    """The rate the mezzanine declares."""
    rate = stream.average_rate or stream.guessed_rate
    if rate is None or not 0 < rate <= MAX_FPS:
        raise RefusedMediaError("the video's frame rate is out of range")
    return Fraction(rate)


def source_index(index: int, fps: int, native_fps: Fraction) -> int:
    """The source frame that output frame `index` shows: the one on show at its time, so frames are repeated or dropped.

    Repetition, not blending: every delivered frame is one the model drew, and nothing ghosts.
    """
    return int(Fraction(index, fps) * native_fps)


class Conformer:
    """Scales frames to fill a size and crops what is over, centred; the result is 4:2:0 BT.709 in limited range."""

    def __init__(self, stream: VideoStream, width: int, height: int) -> None:
        graph = Graph()
        graph.threads = _THREADS
        steps = [
            graph.add_buffer(template=stream, time_base=Fraction(1, 1000)),
            graph.add("scale", _scale_to_fill(stream.width, stream.height, width, height)),
            graph.add("format", "yuv420p"),
            graph.add("crop", f"{width}:{height}"),
            graph.add("setsar", "1"),
            graph.add("buffersink"),
        ]
        for before, after in pairwise(steps):
            before.link_to(after)
        graph.configure()
        self._graph = graph

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Returns the conformed frame."""
        self._graph.push(frame)
        conformed = self._graph.pull()
        if not isinstance(conformed, VideoFrame):
            raise TypeError("a video filter made something else")
        return conformed


def _scale_to_fill(width: int, height: int, to_width: int, to_height: int) -> str:
    """Arguments of the scale filter; the larger factor wins, and its other side is cropped later."""
    factor = max(Fraction(to_width, width), Fraction(to_height, height))
    scaled = (max(to_width, _even(width * factor)), max(to_height, _even(height * factor)))
    quality = "flags=lanczos+accurate_rnd+full_chroma_int+bitexact"
    return f"{scaled[0]}:{scaled[1]}:{quality}:in_color_matrix=bt709:out_color_matrix=bt709:out_range=tv"


def _even(length: Fraction) -> int:
    return 2 * round(length / 2)
