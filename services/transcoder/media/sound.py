"""Reads WAV sound and cuts it to a clip's length."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from services.common.sandbox_child import RefusedMediaError

SAMPLE_RATE_HZ = 48_000
_BLOCK = 1024
Sound: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
"""Float32 [2, samples], -1 to 1, 48 kHz."""


def read_sound(path: Path, samples: int) -> Sound:
    """Reads exactly `samples` samples at 48 kHz as float32 [2, samples]; what lacks at the end is silence."""
    sound = np.zeros((2, samples), np.float32)
    filled = 0
    for block in _decode(path):
        taken = min(block.shape[1], samples - filled)
        sound[:, filled : filled + taken] = block[:, :taken]
        filled += taken
        if filled == samples:
            break
    return sound


def sound_frames(sound: Sound) -> Iterator[AudioFrame]:
    """Cuts the sound into frames with their times."""
    for start in range(0, sound.shape[1], _BLOCK):
        block = np.ascontiguousarray(sound[:, start : start + _BLOCK])
        frame = AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, start, Fraction(1, SAMPLE_RATE_HZ)
        yield frame


def _decode(path: Path) -> Iterator[Sound]:
    resampler = AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE_HZ)
    with av.open(str(path), format="wav", options={"protocol_whitelist": "file"}) as container:
        if not container.streams.audio:
            raise RefusedMediaError("the file has no sound")
        for frame in container.decode(container.streams.audio[0]):
            frame.pts = None
            yield from _arrays(resampler.resample(frame))
        yield from _arrays(resampler.resample(None))


def _arrays(frames: list[AudioFrame]) -> Iterator[Sound]:
    return (frame.to_ndarray().astype(np.float32, copy=False) for frame in frames)
