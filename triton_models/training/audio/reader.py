"""Trains the picture reader: `python -m triton_models.training.audio.reader` (after `prepare`).

What a small video model draws is softer and less steady than a rendering, so frames are blurred, shaken in brightness
and given noise; and mirrored, which also mirrors what is heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as fn

from triton_models.modeling.audio.reader import PictureReader, ReaderConfig
from triton_models.modeling.audio.tracks import CHANNELS, TRACK_RATE_HZ
from triton_models.training.audio.clips import FPS
from triton_models.training.audio.loop import LoopSettings, begin, fit, stage_parser
from triton_models.training.audio.prepare import CLIPS_FILE

READER_FILE = "reader.pt"

_BATCH = 8
_CROP_S = 2.5
"""Length of a training example: what the reader knows of an instant lies within 1.3 s of it."""
_STARTS = 6
"""Crops start at one of so many half seconds."""
_HIT_WEIGHT = 6.0
_SIDED = [CHANNELS.index("impact_pan"), CHANNELS.index("pan")]
"""Channels that change their sign in a mirror."""


@dataclass(frozen=True)
class Pictures:
    """Prepared clips."""

    frames: Tensor
    """uint8 [clips, F, 3, 24, 24]."""
    target: Tensor
    """[clips, len(CHANNELS), T]."""

    def example(self, step: int) -> tuple[Tensor, Tensor]:
        """Frames [B, F, 3, 24, 24] as a small model might have drawn them, and what the reader should answer."""
        rng = np.random.default_rng((step, 4))
        rows = rng.integers(len(self.frames), size=_BATCH)
        starts = rng.integers(_STARTS, size=_BATCH)
        frames = torch.stack([worn(crop.float() / 255, rng) for crop in _crops(self.frames, rows, starts, 1, FPS)])
        target = torch.stack(_crops(self.target, rows, starts, 2, TRACK_RATE_HZ)).float()
        mirrored = torch.from_numpy(rng.random(_BATCH) < 0.5)
        frames[mirrored] = frames[mirrored].flip(-1)
        signs = torch.ones(_BATCH, len(CHANNELS), 1)
        signs[mirrored[:, None] & torch.isin(torch.arange(len(CHANNELS)), torch.tensor(_SIDED))] = -1
        return frames, target * signs


def _crops(
    clips: Tensor, rows: NDArray[np.int64], starts: NDArray[np.int64], axis: int, rate_hz: float
) -> list[Tensor]:
    """Of each row, _CROP_S along the time axis `axis`, from its start in half seconds."""
    length, half = round(_CROP_S * rate_hz), round(rate_hz / 2)
    return [clips[row].narrow(axis - 1, start * half, length) for row, start in zip(rows, starts.tolist(), strict=True)]


def worn(frames_FCP: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames as a small model might have drawn them."""
    soft = fn.avg_pool2d(frames_FCP, 3, stride=1, padding=1, count_include_pad=False)
    mixed = torch.lerp(frames_FCP, soft, float(rng.random()))
    flicker = 1 + rng.normal(0, 0.02, (len(mixed), 3, 1, 1)) + rng.normal(0, 0.08, (1, 3, 1, 1))
    grain = rng.normal(0, rng.uniform(0, 0.03), mixed.shape)
    return (mixed * torch.from_numpy(flicker) + torch.from_numpy(grain)).float().clamp(0, 1)


def reader_loss(raw_BCT: Tensor, target_BCT: Tensor) -> Tensor:
    """Cross-entropy for hits, squared error for the rest; size and place of a hit count only where there is one."""
    impact, wanted = raw_BCT[:, 0], target_BCT[:, 0]
    hits = fn.binary_cross_entropy_with_logits(impact, wanted, weight=1 + _HIT_WEIGHT * wanted)
    details = (wanted[:, None] * (raw_BCT[:, 1:3] - target_BCT[:, 1:3]) ** 2).mean()
    motion = fn.mse_loss(raw_BCT[:, 3:], target_BCT[:, 3:])
    return hits + 10 * details + 5 * motion


def main() -> None:
    """Runs the stage."""
    given = begin(stage_parser(__doc__ or "", steps=800, learning_rate=3e-3))
    clips = load_file(given.run / CLIPS_FILE)
    pictures = Pictures(clips["frames"], clips["target"])
    network = PictureReader(ReaderConfig())
    network.find.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.5 times as fast on CPUs

    def loss_at(step: int) -> Tensor:
        frames, target = pictures.example(step)
        return reader_loss(network(frames, FPS), target)

    fit(network, loss_at, LoopSettings(
        steps=given.steps, learning_rate=given.learning_rate, file=given.run / READER_FILE,
    ))  # fmt: skip


if __name__ == "__main__":
    main()
