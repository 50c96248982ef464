"""Makes a sheet of a clip's frames, evenly over its length, from left to right and top to bottom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from services.common.sandbox_child import RefusedMediaError

_FRAMES = 16
_COLUMNS = 4
_TILE_WIDTH_PX = 320
# Above this, decoding every frame takes too long; then the key frames stand for all: one every two seconds and a cut.
_MAX_PIXELS = 1_000_000_000


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Sandbox target: {"video": MP4, "output": JPEG to write} to {"frames"}."""
    with av.open(request["video"], format="mp4", options={"protocol_whitelist": "file"}) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if stream.frames * stream.width * stream.height > _MAX_PIXELS:
            stream.codec_context.skip_frame = "NONKEY"
        tiles = [_tile(frame) for frame in _evenly(container, stream)]
    if not tiles:
        raise RefusedMediaError("the video has no frames")
    _sheet(tiles).save(Path(request["output"]), "JPEG", quality=85)
    return {"frames": len(tiles)}


def _evenly(container: av.container.InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The first frame of each of equal parts of the clip; a part without a frame has none."""
    length, due = float((stream.duration or 1) * (stream.time_base or 1)), 0
    for frame in container.decode(stream):
        part = int((frame.time or 0.0) / length * _FRAMES)
        if part >= due and due < _FRAMES:
            due = part + 1
            yield frame


def _tile(frame: VideoFrame) -> Image.Image:
    height = max(1, round(_TILE_WIDTH_PX * frame.height / frame.width))
    rgb = frame.reformat(_TILE_WIDTH_PX, height, format="rgb24", src_colorspace="ITU709")
    return Image.fromarray(rgb.to_ndarray())


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    width, height = tiles[0].size
    columns = min(_COLUMNS, len(tiles))
    sheet = Image.new("RGB", (columns * width, math.ceil(len(tiles) / columns) * height))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % columns * width, index // columns * height))
    return sheet
