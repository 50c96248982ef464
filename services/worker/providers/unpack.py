"""Sandbox targets: a provider's video to the lossless mezzanine, and to WAV."""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from services.common.mezzanine import MezzanineWriter
from services.common.sandbox_child import RefusedMediaError

SAMPLE_RATE_HZ = 48_000
_MAX_SIDE_PX = 4096
_MAX_FPS = 240
_HD_HEIGHT_PX = 720
_BT601 = {5, 6}
"""Colour matrices of standard definition, as H.273 numbers them."""
_UNSPECIFIED = 2
_MAY_LACK_S = 0.5
"""A video may be so much shorter than asked for; its last picture is held."""
_OPTIONS = {"protocol_whitelist": "file"}


def frames(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the first `seconds` of a video as FFV1 in Matroska, at its own size and rate."""
    with _open(Path(request["video"])) as container:
        stream = _video_stream(container)
        rate = _frame_rate(stream)
        wanted = math.ceil(request["seconds"] * rate)
        writer = MezzanineWriter(Path(request["output"]), width=stream.width, height=stream.height, fps=float(rate))
        for frame in container.decode(stream):
            if writer.frames == wanted:
                break
            writer.add(_rgb(frame)[np.newaxis])
        writer.finish()
    if writer.frames < wanted - _MAY_LACK_S * rate:
        raise RefusedMediaError("the provider's video is shorter than asked for")
    return {"frames": writer.frames}


def sound(request: dict[str, Any]) -> dict[str, Any]:
    """Writes the first `seconds` of a video's sound as stereo WAV at 48 kHz; tells whether there is any."""
    with _open(Path(request["video"])) as container:
        if not container.streams.audio:
            return {"found": False}
        left = round(request["seconds"] * SAMPLE_RATE_HZ)
        with wave.open(request["output"], "wb") as output:
            output.setnchannels(2)
            output.setsampwidth(2)
            output.setframerate(SAMPLE_RATE_HZ)
            for block in _blocks(container):
                output.writeframes(block[:, : 2 * left].tobytes())
                left -= min(left, block.shape[1] // 2)
    return {"found": True}


@contextmanager
def _open(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a file of one of the two kinds that providers send; nothing else is probed and nothing else opened."""
    with av.open(str(path), format=_container_format(path), options=_OPTIONS) as container:
        yield container


def _container_format(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    raise RefusedMediaError("the provider sent no video")


def _video_stream(container: av.container.InputContainer) -> VideoStream:
    if len(container.streams.video) != 1:
        raise RefusedMediaError("the provider's video has not exactly one picture track")
    stream = container.streams.video[0]
    if not 0 < max(stream.width, stream.height) <= _MAX_SIDE_PX:
        raise RefusedMediaError("the provider's video has a size out of range")
    return stream


def _frame_rate(stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    if rate is None or not 0 < rate <= _MAX_FPS:
        raise RefusedMediaError("the provider's video has a frame rate out of range")
    return Fraction(rate)


def _rgb(frame: VideoFrame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Uint8 [height, width, 3]; without a word of the colour matrix the height tells it, as players do."""
    matrix = int(frame.colorspace)
    standard = matrix in _BT601 or (matrix == _UNSPECIFIED and frame.height < _HD_HEIGHT_PX)
    source = Colorspace.ITU601 if standard else Colorspace.ITU709
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = frame.reformat(format="rgb24", src_colorspace=source).to_ndarray()  # type: ignore[assignment] # as of rgb24
    return pixels


def _blocks(container: av.container.InputContainer) -> Iterator[np.ndarray[Any, np.dtype[np.int16]]]:
    """Int16 [1, 2 * samples], the channels interleaved."""
    resampler = AudioResampler(format="s16", layout="stereo", rate=SAMPLE_RATE_HZ)
    for frame in container.decode(container.streams.audio[0]):
        frame.pts = None
        yield from _arrays(resampler.resample(frame))
    yield from _arrays(resampler.resample(None))


def _arrays(resampled: list[AudioFrame]) -> Iterator[np.ndarray[Any, np.dtype[np.int16]]]:
    return (frame.to_ndarray().astype(np.int16, copy=False) for frame in resampled)
