"""The MP4 as a player sees it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from services.common.sandbox_child import RefusedMediaError
from services.transcoder.media.conform import conform
from services.transcoder.media.request import ConformRequest
from tests.support.media import moving_scene, write_mezzanine


@pytest.fixture
def request_(mezzanine: Path, clicks: Path, tmp_path: Path) -> ConformRequest:
    return ConformRequest(
        video=str(mezzanine),
        audio=str(clicks),
        output=str(tmp_path / "out.mp4"),
        width=160,
        height=90,
        fps=24,
        frames=48,
        preset="veryfast",
        crf=20,
        audio_bit_rate=160_000,
        threads=2,
    )


def pictures(path: str) -> np.ndarray[Any, Any]:
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def sound(path: str) -> np.ndarray[Any, Any]:
    with av.open(path) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_length_is_exact(request_: ConformRequest, fps: int) -> None:
    request = replace(request_, fps=fps, frames=2 * fps - 1)
    conform(request)
    assert len(pictures(request.output)) == request.frames
    with av.open(request.output) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        length_s = (2 * fps - 1) / fps
        assert float((video.duration or 0) * (video.time_base or 0)) == pytest.approx(length_s, abs=1e-4)
        assert float((audio.duration or 0) * (audio.time_base or 0)) == pytest.approx(length_s, abs=1e-4)
        assert (container.duration or 0) / 1e6 == pytest.approx(length_s, abs=1e-4)
        assert video.average_rate == fps


def test_it_is_what_players_want(request_: ConformRequest) -> None:
    native = conform(request_)
    assert native == {"width": 112, "height": 64, "fps": 12.0}
    with av.open(request_.output) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        context: Any = video.codec_context
        assert (video.codec.name, context.profile, context.pix_fmt) == ("h264", "High", "yuv420p")
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)
        assert (video.width, video.height) == (160, 90)
        assert (audio.codec.name, audio.rate, audio.layout.name) == ("aac", 48_000, "stereo")
    boxes = Path(request_.output).read_bytes()
    assert boxes.index(b"moov") < boxes.index(b"mdat")


def test_clicks_stay_where_they_were(request_: ConformRequest) -> None:
    conform(request_)
    heard = np.abs(sound(request_.output)).max(0)
    for half, click_s in ((slice(0, 48_000), 0.5), (slice(48_000, 96_000), 1.5)):
        offset_s = (half.start + int(heard[half].argmax())) / 48_000 - click_s
        assert abs(offset_s) < 0.001
        assert heard[half].max() > 0.2


def test_a_silent_video_has_no_audio_track(request_: ConformRequest) -> None:
    request = replace(request_, audio=None)
    conform(request)
    with av.open(request.output) as container:
        assert not container.streams.audio


def test_each_drawn_frame_is_shown_twice_at_double_rate(request_: ConformRequest) -> None:
    conform(replace(request_, crf=5))
    shown = pictures(request_.output)
    steps = np.abs(np.diff(shown, axis=0)).mean((1, 2, 3))
    assert steps[0::2].max() < steps[1::2].min()


def test_a_clip_that_ends_early_holds_its_last_picture(request_: ConformRequest) -> None:
    request = replace(request_, frames=60)
    conform(request)
    shown = pictures(request.output)
    assert len(shown) == 60
    assert np.abs(shown[47] - shown[59]).mean() < 2


def test_scaling_fills_and_crops_the_centre(request_: ConformRequest, tmp_path: Path) -> None:
    frame = np.zeros((64, 128, 3), np.uint8)
    frame[:, :32], frame[:, 32:96], frame[:, 96:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    source = tmp_path / "bars.mkv"
    write_mezzanine(source, [frame] * 12, 12)
    request = replace(request_, video=str(source), width=240, height=240, frames=24, crf=5)
    conform(request)
    middle = pictures(request.output)[0, 120]
    # A square from the middle of a 2:1 picture is all green; BT.709 there and back keeps it so.
    assert np.abs(middle[8:-8] - (0, 255, 0)).max() < 12


def test_the_same_input_gives_the_same_bytes(request_: ConformRequest, tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        request = replace(request_, output=str(tmp_path / f"{name}.mp4"))
        conform(request)
        digests.add(hashlib.sha256(Path(request.output).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_another_kind_of_file_is_not_opened(request_: ConformRequest, tmp_path: Path) -> None:
    playlist = tmp_path / "list.mkv"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n")
    with pytest.raises(ValueError, match="Invalid data"):
        conform(replace(request_, video=str(playlist)))


def test_a_video_without_frames_is_refused(request_: ConformRequest, clicks: Path, tmp_path: Path) -> None:
    source = tmp_path / "sound.mkv"
    with av.open(str(clicks)) as read, av.open(str(source), "w", format="matroska") as write:
        stream = write.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(read.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    with pytest.raises(RefusedMediaError):
        conform(replace(request_, video=str(source)))


def test_frames_may_be_large(request_: ConformRequest, tmp_path: Path) -> None:
    source = tmp_path / "large.mkv"
    write_mezzanine(source, moving_scene(3, 640, 360), 12)
    request = replace(request_, video=str(source), frames=6)
    assert conform(request) == {"width": 640, "height": 360, "fps": 12.0}
    assert pictures(request.output).shape == (6, 90, 160, 3)
