"""Contact sheets of clips, and loss curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_CAPTION_HEIGHT = 14
_QUALITY = 82


def frame_row(clip: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Returns `columns` frames spread evenly over a clip [T, H, W, 3], side by side."""
    chosen = np.linspace(0, len(clip) - 1, columns).round().astype(int)
    return np.concatenate([clip[index] for index in chosen], 1)


def save_sheet(clips: list[NDArray[np.uint8]], path: Path, columns: int = 11) -> None:
    """Writes one row a clip [T, H, W, 3], with `columns` frames spread evenly over each."""
    rows = [frame_row(clip, columns) for clip in clips]
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 2), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(padded)).save(path)


def save_captioned(rows: list[tuple[str, list[NDArray[np.uint8]]]], path: Path, columns: int = 8) -> None:
    """Writes, for each caption, the rows of its clips below it, as a JPEG."""
    parts = []
    for caption, clips in rows:
        block = np.concatenate([np.pad(frame_row(clip, columns), ((0, 1), (0, 0), (0, 0))) for clip in clips])
        title = Image.new("RGB", (block.shape[1], _CAPTION_HEIGHT), "white")
        ImageDraw.Draw(title).text((3, 1), caption, fill="black")
        parts += [np.asarray(title), block]
    Image.fromarray(np.concatenate(parts)).save(path, quality=_QUALITY)


def save_curve(losses: list[float], path: Path, width: int = 640, height: int = 320) -> None:
    """Writes the running mean of the loss over the steps."""
    window = max(1, len(losses) // 200)
    smooth = np.convolve(losses, np.ones(window) / window, "valid")
    low, high = float(smooth.min()), float(smooth.max()) + 1e-9
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    xs = np.linspace(0, width - 1, len(smooth))
    ys = (high - smooth) / (high - low) * (height - 20) + 10
    draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill="navy")
    draw.text((width - 220, 4), f"{len(losses)} steps, {high:.4f} to {low:.4f}", fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
