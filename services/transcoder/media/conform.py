"""Conforms a mezzanine and its sound to an MP4: H.264 High and AAC, faststart."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from services.common.sandbox_child import RefusedMediaError
from services.transcoder.media.request import ConformRequest
from services.transcoder.media.sound import SAMPLE_RATE_HZ, read_sound, sound_frames
from services.transcoder.media.source import Conformer, frame_rate, open_video, source_index

_BT709 = 1
_LIMITED_RANGE = 1
_KEYFRAME_INTERVAL_S = 2


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sandbox target: ConformRequest to the native {"width", "height", "fps"}."""
    return conform(ConformRequest(**request))


def conform(request: ConformRequest) -> dict[str, Any]:
    """Writes the MP4; the same input gives the same bytes."""
    with open_video(Path(request.video), "matroska") as (source, stream), _create(Path(request.output)) as output:
        native_fps = frame_rate(stream)
        video, audio = _add_video(output, request), _add_audio(output, request)
        sounds = _sounds(request)
        for frame in _shown_frames(source, stream, native_fps, request):
            _mux(output, video, frame)
            if audio is not None:
                _mux_sound_until(output, audio, sounds, Fraction(frame.pts or 0, request.fps))
        _mux(output, video, None)
        if audio is not None:
            _mux_sound_until(output, audio, sounds, None)
            _mux(output, audio, None)
        return {"width": stream.width, "height": stream.height, "fps": float(native_fps)}


def _create(path: Path) -> OutputContainer:
    # Milliseconds, the movie's default clock, cannot express every frame.
    options = {"movflags": "+faststart", "movie_timescale": str(SAMPLE_RATE_HZ), "fflags": "+bitexact"}
    return av.open(str(path), "w", format="mp4", options=options)


def _add_video(output: OutputContainer, request: ConformRequest) -> VideoStream:
    options = {
        "preset": request.preset,
        "crf": str(request.crf),
        "profile": "high",
        "g": str(_KEYFRAME_INTERVAL_S * request.fps),
        # x264's macroblock tree gave other bytes in some runs (seen with its AVX-512 code, 2 to 20 in 100).
        "x264-params": "mbtree=0",
    }
    stream = output.add_stream("libx264", rate=request.fps, options=options)
    stream.width, stream.height, stream.pix_fmt = request.width, request.height, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, request.fps)
    context.thread_count = request.threads
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _add_audio(output: OutputContainer, request: ConformRequest) -> AudioStream | None:
    if request.audio is None:
        return None
    return output.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="stereo", bit_rate=request.audio_bit_rate)


def _sounds(request: ConformRequest) -> Iterator[AudioFrame]:
    if request.audio is None:
        return iter(())
    samples = round(Fraction(request.frames, request.fps) * SAMPLE_RATE_HZ)
    return sound_frames(read_sound(Path(request.audio), samples))


def _shown_frames(
    source: av.container.InputContainer, stream: VideoStream, native_fps: Fraction, request: ConformRequest
) -> Iterator[VideoFrame]:
    """Yields each output frame in order; a source frame is scaled once, however often it is shown."""
    conformer = Conformer(stream, request.width, request.height)
    index, latest = 0, None
    for drawn, frame in enumerate(source.decode(stream)):
        if index == request.frames:
            return
        if source_index(index, request.fps, native_fps) <= drawn:
            latest = conformer(frame)
        while latest and index < request.frames and source_index(index, request.fps, native_fps) <= drawn:
            yield _at(latest, index, request.fps)
            index += 1
    if latest is None:
        raise RefusedMediaError("the video has no frames")
    # A clip that ends a little early holds its last picture.
    for rest in range(index, request.frames):
        yield _at(latest, rest, request.fps)


def _at(frame: VideoFrame, index: int, fps: int) -> VideoFrame:
    frame.pts, frame.time_base, frame.duration = index, Fraction(1, fps), 1
    # FFV1 has only key frames; x264 would take that for an order.
    frame.pict_type = PictureType.NONE
    return frame


def _mux(output: OutputContainer, stream: VideoStream | AudioStream, frame: Any) -> None:
    for packet in stream.encode(frame):
        output.mux(packet)


def _mux_sound_until(
    output: OutputContainer, stream: AudioStream, sounds: Iterator[AudioFrame], until_s: Fraction | None
) -> None:
    """Encodes the sound that belongs before a time, so that both streams lie side by side in the file; None: all."""
    for sound in sounds:
        _mux(output, stream, sound)
        if until_s is not None and Fraction(sound.pts or 0, SAMPLE_RATE_HZ) > until_s:
            return
