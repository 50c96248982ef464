"""Reference videos: what is refused, and how the others are conformed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.common.mezzanine import read_frames
from services.common.sandbox import MediaFailed, SandboxLimits, run_sandboxed
from services.common.sandbox_child import RefusedMediaError
from services.encoder.reference.conform import conform, run
from services.encoder.reference.request import ConformRequest
from tests.support.pictures import scene, write_video


def request(video: Path, **changes: Any) -> ConformRequest:
    fields: dict[str, Any] = {"width": 48, "height": 32, "fps": 12, "duration_s": 1.0, **changes}
    return ConformRequest(video=str(video), output=str(video.with_suffix(".ffv1.mkv")), **fields)


def conformed(video: Path, **changes: Any) -> NDArray[np.uint8]:
    asked = request(video, **changes)
    made = conform(asked)
    frames = read_frames(Path(asked.output))
    assert len(frames) == made
    return frames


def grey(levels: list[int], width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """One even frame per level."""
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_video_gets_the_models_size_and_rate(tmp_path: Path, name: str) -> None:
    frames = conformed(write_video(tmp_path / name, np.stack([scene()] * 24)))
    assert frames.shape == (12, 32, 48, 3)
    assert np.abs(frames[0].astype(int) - scene(48, 32)).mean() < 6


def test_each_frame_is_the_one_on_show_at_its_time(tmp_path: Path) -> None:
    levels = [10 * index for index in range(24)]
    frames = conformed(write_video(tmp_path / "a.mp4", grey(levels)))
    assert np.abs(frames.mean((1, 2, 3)) - levels[::2]).max() < 4
    slower = conformed(write_video(tmp_path / "b.mp4", grey(levels[:6]), rate=6))
    assert np.abs(slower.mean((1, 2, 3)) - np.repeat(levels[:6], 2)[: len(slower)]).max() < 4


def test_a_long_video_is_cut_and_a_short_one_stays_short(tmp_path: Path) -> None:
    assert len(conformed(write_video(tmp_path / "long.mp4", grey([50] * 96)))) == 12
    assert len(conformed(write_video(tmp_path / "short.mp4", grey([50] * 12)))) == 6


def test_another_shape_is_cropped_in_the_middle(tmp_path: Path) -> None:
    striped = grey([200] * 24, 96, 64)
    striped[:, :, :16] = striped[:, :, -16:] = 0
    frames = conformed(write_video(tmp_path / "wide.mp4", striped), width=32, height=32)
    assert frames.min() > 150


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data\n"),
        ("concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("dash.mp4", b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>'),
        ("session.mp4", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
        ("subtitles.mkv", b"WEBVTT\n\n00:00.000 --> 00:01.000\nhttp://127.0.0.1/\n"),
        ("picture.mp4", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("old.mp4", b"RIFF\0\0\0\0AVI LIST"),
        ("empty.mp4", b""),
    ],
)
def test_by_content_and_not_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedMediaError, match="neither MP4"):
        conform(request(tmp_path / name))


def test_too_many_tracks_are_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", grey([1]), tracks=17)
    with pytest.raises(RefusedMediaError, match="more than 16 tracks"):
        conform(request(video))


def test_a_million_frames_a_second_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedMediaError, match="frames a second"):
        conform(request(write_video(tmp_path / "a.mkv", grey([1] * 300, 16, 16), rate=Fraction(1000))))


def test_frames_that_are_too_large_or_too_long_are_refused(tmp_path: Path) -> None:
    for width, height in ((4112, 1600), (320, 64)):
        video = write_video(tmp_path / f"{width}.mp4", grey([1], width, height))
        with pytest.raises(RefusedMediaError, match="its frames"):
            conform(request(video))


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(RefusedMediaError, match="no picture"):
        conform(request(tmp_path / "a.mp4"))


@pytest.mark.parametrize("keep", [40, 300, 900])
async def test_what_is_broken_never_gets_out_of_the_child_process(tmp_path: Path, keep: int) -> None:
    whole = write_video(tmp_path / "a.mp4", np.stack([scene()] * 24)).read_bytes()
    (tmp_path / "broken.mp4").write_bytes(whole[:keep])
    limits = SandboxLimits(memory_mb=1024, cpu_s=20, wall_s=60, file_mb=64)
    with pytest.raises(MediaFailed) as failed:
        await run_sandboxed(f"{run.__module__}:run", vars(request(tmp_path / "broken.mp4")), limits)
    assert failed.value.permanent
