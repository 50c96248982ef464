"""Contact sheets and loss curves as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def save_sheet(clips: list[NDArray[np.uint8]], path: Path, columns: int = 11) -> None:
    """Writes one row a clip [T, H, W, 3], with `columns` frames spread evenly over each."""
    rows = [
        np.concatenate([clip[index] for index in np.linspace(0, len(clip) - 1, columns).round().astype(int)], 1)
        for clip in clips
    ]
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 2), (0, widest - row.shape[1]), (0, 0))) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(padded)).save(path)


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
