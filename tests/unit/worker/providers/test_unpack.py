"""Providers' videos, as the child process reads them."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from services.common.mezzanine import read_frames
from services.common.sandbox_child import RefusedMediaError
from services.worker.providers import unpack
from tests.support.media import moving_scene, write_mp4


def request(folder: Path, seconds: float) -> dict[str, object]:
    return {"video": str(folder / "in"), "output": str(folder / "out"), "seconds": seconds}


def test_the_clip_is_cut_to_what_was_asked_for_and_looks_the_same(tmp_path: Path) -> None:
    scene = moving_scene(48)
    write_mp4(tmp_path / "in", scene, 12, sound=False)
    assert unpack.frames(request(tmp_path, 3)) == {"frames": 36}
    frames = read_frames(tmp_path / "out")
    assert frames.shape == (36, 64, 112, 3)
    # H.264 in 4:2:0 loses a little; another colour matrix would lose more.
    assert np.abs(frames[10].astype(int) - scene[10]).mean() < 4


def test_a_rate_that_is_no_whole_number_is_kept(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in"), "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=Fraction(24000, 1001))
        stream.width, stream.height, stream.pix_fmt = 112, 64, "yuv420p"
        for pixels in moving_scene(24):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    unpack.frames(request(tmp_path, 1))
    with av.open(str(tmp_path / "out")) as made:
        assert float(made.streams.video[0].average_rate or 0) == pytest.approx(24000 / 1001)


def test_sound_is_taken_as_long_as_the_clip(tmp_path: Path) -> None:
    write_mp4(tmp_path / "in", moving_scene(48), 12, sound=True)
    assert unpack.sound(request(tmp_path, 2.5)) == {"found": True}
    with wave.open(str(tmp_path / "out")) as sound:
        assert (sound.getnframes(), sound.getnchannels(), sound.getframerate()) == (120_000, 2, 48_000)
        samples = np.frombuffer(sound.readframes(120_000), np.int16)
    assert np.abs(samples).max() > 4000


def test_silence_is_said(tmp_path: Path) -> None:
    write_mp4(tmp_path / "in", moving_scene(12), 12, sound=False)
    assert unpack.sound(request(tmp_path, 1)) == {"found": False}


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n" + bytes(20), b"#EXTM3U\n#EXTINF:1,\n/etc/x"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").write_bytes(content)
    with pytest.raises(RefusedMediaError, match="no video"):
        unpack.frames(request(tmp_path, 1))


def test_a_video_that_is_too_short_is_refused(tmp_path: Path) -> None:
    write_mp4(tmp_path / "in", moving_scene(12), 12, sound=False)
    with pytest.raises(RefusedMediaError, match="shorter"):
        unpack.frames(request(tmp_path, 5))
    assert unpack.frames(request(tmp_path, 1.4)) == {"frames": 12}
