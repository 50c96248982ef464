"""The lossless intermediate."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from services.common.mezzanine import MezzanineWriter


def noise(frames: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def write(path: Path, chunks: list[NDArray[np.uint8]], fps: int = 12) -> Path:
    _, height, width, _ = chunks[0].shape
    writer = MezzanineWriter(path, width=width, height=height, fps=fps)
    for chunk in chunks:
        writer.add(chunk)
    writer.finish()
    return path


@pytest.mark.parametrize(("height", "width"), [(64, 112), (80, 80), (50, 66)])
def test_every_pixel_survives(tmp_path: Path, height: int, width: int) -> None:
    chunks = [noise(5, height, width, 1), noise(16, height, width, 2), noise(1, height, width, 3)]
    with av.open(str(write(tmp_path / "clip.mkv", chunks)), "r") as video:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    assert np.array_equal(frames, np.concatenate(chunks))


def test_size_rate_and_times_are_the_models_own(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "clip.mkv", [noise(24, 64, 112)], fps=12)), "r") as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("ffv1", 112, 64)
        assert stream.average_rate == 12
        times = [frame.time for frame in video.decode(video=0)]
    assert times == pytest.approx([index / 12 for index in range(24)], abs=0.001)


def test_the_same_frames_make_the_same_file_however_they_are_cut(tmp_path: Path) -> None:
    clip = noise(12, 64, 64)
    whole = write(tmp_path / "whole.mkv", [clip]).read_bytes()
    cut = write(tmp_path / "cut.mkv", [clip[:5], clip[5:]]).read_bytes()
    assert whole == cut
