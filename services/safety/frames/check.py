"""The chain of checks over the frames of a mezzanine; runs in the sandboxed child process."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from services.common.sandbox_child import RefusedMediaError
from services.safety.frames.onnx import OnnxClassifier
from services.safety.frames.photosensitivity import FlashMeter
from services.safety.frames.request import FrameCheckRequest
from services.safety.frames.sampling import Sampler

_COLUMNS, _ROWS = 64, 36
_DECODER_THREADS = 2
_MAX_SIDE_PX = 4096
_MAX_FPS = 240
_MAX_FRAMES = 60 * 60


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sandbox target: FrameCheckRequest to {"scores": by category, "frames"}."""
    return check(FrameCheckRequest(**request))


def check(request: FrameCheckRequest) -> dict[str, Any]:
    """Looks at every frame for flashes, and at sampled ones with the classifier where there is one."""
    flashes, sampler = FlashMeter(_ROWS, _COLUMNS), Sampler(request.sample_interval_s)
    classifier = _classifier(request)
    scores: dict[str, float] = {}
    frames = 0
    for time_s, frame in _frames(Path(request.video)):
        frames += 1
        cells = _reduced(frame, _COLUMNS, _ROWS)
        flashes.add(time_s, cells)
        if classifier is not None and sampler.wants(time_s, cells):
            for category, score in classifier.score(_reduced(frame, classifier.size, classifier.size)).items():
                scores[category] = max(scores.get(category, 0.0), score)
    if frames == 0:
        raise RefusedMediaError("the video has no frames")
    return {"scores": {**scores, "photosensitivity": flashes.score}, "frames": frames}


def _classifier(request: FrameCheckRequest) -> OnnxClassifier | None:
    if request.onnx_model is None or request.onnx_labels is None:
        return None
    return OnnxClassifier(Path(request.onnx_model), Path(request.onnx_labels))


def _frames(path: Path) -> Iterator[tuple[float, VideoFrame]]:
    """Decodes the only video stream; times come from the declared rate, as the clip will be shown."""
    container_format = "png_pipe" if path.suffix == ".png" else "matroska"
    with av.open(str(path), format=container_format, options={"protocol_whitelist": "file"}) as container:
        if len(container.streams.video) != 1:
            raise RefusedMediaError("the file has not exactly one video stream")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = _DECODER_THREADS
        rate = _checked_rate(stream)
        for index, frame in enumerate(container.decode(stream)):
            if index == _MAX_FRAMES:
                raise RefusedMediaError("the video is too long")
            yield float(index / rate), frame


def _checked_rate(stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    if rate is None or not 0 < rate <= _MAX_FPS or not 0 < max(stream.width, stream.height) <= _MAX_SIDE_PX:
        raise RefusedMediaError("the video's size or frame rate is out of range")
    return Fraction(rate)


def _reduced(frame: VideoFrame, width: int, height: int) -> Any:
    return frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
