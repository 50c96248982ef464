"""Picks a picture that stands for a clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from services.common.sandbox_child import RefusedMediaError
from services.transcoder.media.source import open_video

_BINS = 32


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sandbox target: {"video": MP4, "output": JPEG to write, "max_side_px"} to {"width", "height"}."""
    pictures = [_picture(frame, request["max_side_px"]) for frame in _key_frames(Path(request["video"]))]
    if not pictures:
        raise RefusedMediaError("the video has no frames")
    chosen = pictures[most_typical(np.stack([_histogram(picture) for picture in pictures]))]
    chosen.save(request["output"], "JPEG", quality=88, optimize=True)
    return {"width": chosen.width, "height": chosen.height}


def most_typical(histograms: np.ndarray[Any, Any]) -> int:
    """The index of the histogram [N, bins] closest to their mean: neither a black start nor a flash."""
    return int(np.square(histograms - histograms.mean(0)).sum(1).argmin())


def _key_frames(path: Path) -> Iterator[VideoFrame]:
    """Decodes only key frames: there is one every two seconds and at every cut."""
    with open_video(path, "mp4") as (container, stream):
        stream.codec_context.skip_frame = "NONKEY"
        yield from container.decode(stream)


def _picture(frame: VideoFrame, max_side_px: int) -> Image.Image:
    factor = min(1.0, max_side_px / max(frame.width, frame.height))
    size = (round(frame.width * factor), round(frame.height * factor))
    rgb = frame.reformat(*size, format="rgb24", src_colorspace="ITU709", interpolation="LANCZOS")
    return Image.fromarray(rgb.to_ndarray())


def _histogram(picture: Image.Image) -> np.ndarray[Any, Any]:
    counts, _ = np.histogram(np.asarray(picture.convert("L")), bins=_BINS, range=(0, 256))
    return np.asarray(counts / counts.sum())
