"""Small mezzanines and sounds, as a worker stores them."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

Frame = np.ndarray[Any, np.dtype[np.uint8]]
"""RGB [height, width, 3]."""


def write_mezzanine(path: Path, frames: Iterable[Frame], fps: int) -> None:
    """Writes FFV1 in Matroska."""
    with av.open(str(path), "w", format="matroska") as container:
        stream: Any = None
        for index, pixels in enumerate(frames):
            if stream is None:
                stream = cast("Any", container.add_stream("ffv1", rate=fps))
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "bgr0"
            frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_sound(path: Path, samples: np.ndarray[Any, np.dtype[np.int16]], rate_hz: int) -> None:
    """Writes mono 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())


def moving_scene(count: int, width: int = 112, height: int = 64) -> list[Frame]:
    """A smooth picture that drifts: nothing flashes, every frame differs."""
    across = np.linspace(0, 4 * np.pi, width)
    rows = np.linspace(60, 180, height)[:, None]
    waves = (40 * np.sin(across - index / 6) for index in range(count))
    channels = ((rows + wave_, rows + 0 * wave_, 120 + wave_ + 0 * rows) for wave_ in waves)
    return [np.stack(three, -1).astype(np.uint8) for three in channels]


def write_mp4(path: Path, frames: Iterable[Frame], fps: int, *, sound: bool) -> None:
    """Writes H.264, with a tone in AAC as long as the frames if asked for: what providers send."""
    pictures = list(frames)
    with av.open(str(path), "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=fps)
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        audio: Any = container.add_stream("aac", rate=48_000, layout="stereo") if sound else None
        for index, pixels in enumerate(pictures):
            frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for tone in _tone(len(pictures) / fps):
                container.mux(audio.encode(tone))
            container.mux(audio.encode(None))


def _tone(seconds: float) -> Iterable[AudioFrame]:
    wave_ = np.sin(np.arange(round(48_000 * seconds)) * 2 * np.pi * 440 / 48_000).astype(np.float32) / 4
    for start in range(0, len(wave_), 1024):
        block = np.ascontiguousarray(np.tile(wave_[start : start + 1024], (2, 1)))
        frame = AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        yield frame
