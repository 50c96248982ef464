"""Trains the picture reader: `python -m triton_models.training.audio.reader`. Clips are rendered as they are needed.

Most go through the latents of the video autoencoder, which blur motion within four frames: the reader learns
to see through that. What a small video model draws is also softer and less steady than a rendering, so frames are
blurred, shaken in brightness and given noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from triton_models.modeling.audio.model import load_video_vae
from triton_models.modeling.audio.reader import PictureReader, ReaderConfig
from triton_models.modeling.audio.tracks import CHANNELS, TRACK_RATE_HZ, SoundTracks, bumps
from triton_models.modeling.reference import VAE_FILE
from triton_models.modeling.vae import VideoVAE
from triton_models.training.audio.clips import CLIP_S, Clip, sample_clip
from triton_models.training.audio.loop import REFERENCE, LoopSettings, begin, fit, stage_parser

READER_FILE = "reader.pt"

_BATCH = 8
_FRAME_RATES = (8.0, 12.0, 12.0, 16.0, 24.0)
_FIRST_SEED = 1_000_000
"""Far from the seeds of `prepare`, so that evaluation on those is on unseen clips."""
_CODED_SHARE = 0.75
_HIT_WEIGHT = 6.0


@dataclass(frozen=True)
class Example:
    """A batch for the reader."""

    frames_BFCP: Tensor
    target_BCT: Tensor
    fps: float


def example(step: int, vae: VideoVAE | None) -> Example:
    """The batch of a step; most clips pass through the latents of `vae` if there is one."""
    rng = np.random.default_rng((step, 4))
    fps = float(rng.choice(_FRAME_RATES))
    count = round(CLIP_S * fps)
    clips = [sample_clip(_FIRST_SEED + step * _BATCH + index) for index in range(_BATCH)]
    coded = rng.random(_BATCH) < _CODED_SHARE
    pictures = [clip.frames(fps, count, vae if through else None) for clip, through in zip(clips, coded, strict=True)]
    frames = torch.stack([worn(picture, rng) for picture in pictures])
    return Example(frames, torch.stack([_target(clip) for clip in clips]), fps)


def worn(frames_FCP: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames as a small model might have drawn them."""
    soft = fn.avg_pool2d(frames_FCP, 3, stride=1, padding=1, count_include_pad=False)
    mixed = torch.lerp(frames_FCP, soft, float(rng.random()))
    flicker = 1 + rng.normal(0, 0.02, (len(mixed), 3, 1, 1)) + rng.normal(0, 0.08, (1, 3, 1, 1))
    grain = rng.normal(0, rng.uniform(0, 0.03), mixed.shape)
    return (mixed * torch.from_numpy(flicker) + torch.from_numpy(grain)).float().clamp(0, 1)


def reader_loss(raw_BCT: Tensor, target_BCT: Tensor) -> Tensor:
    """Cross-entropy for hits, squared error for the rest; the size counts only where there is a hit."""
    impact, wanted = raw_BCT[:, 0], target_BCT[:, 0]
    hits = fn.binary_cross_entropy_with_logits(impact, wanted, weight=1 + _HIT_WEIGHT * wanted)
    size = (wanted * (raw_BCT[:, 1] - target_BCT[:, 1]) ** 2).mean()
    motion = fn.mse_loss(raw_BCT[:, 2:], target_BCT[:, 2:])
    return hits + 5 * size + motion


def _target(clip: Clip) -> Tensor:
    tracks: SoundTracks = clip.tracks()
    length = round(CLIP_S * TRACK_RATE_HZ)
    impact, sized = bumps(tracks.hits, length)
    size = np.divide(sized, impact, out=np.zeros_like(sized), where=impact > 1e-3)
    channels = dict(zip(CHANNELS, (impact.clip(0, 1), size, tracks.whoosh, tracks.roll, tracks.pan), strict=True))
    return torch.from_numpy(np.stack([channels[name] for name in CHANNELS]).astype(np.float32))


def main() -> None:
    """Runs the stage."""
    parser = stage_parser(__doc__ or "", steps=1400, learning_rate=2e-3)
    parser.add_argument("--weights", type=Path, default=REFERENCE, help="folder with the video autoencoder")
    given = begin(parser)
    vae = load_video_vae(given.weights) if (given.weights / VAE_FILE).exists() else None
    network = PictureReader(ReaderConfig())
    network.find.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.5 times as fast on CPUs

    def loss_at(step: int) -> Tensor:
        batch = example(step, vae)
        return reader_loss(network(batch.frames_BFCP, batch.fps), batch.target_BCT)

    fit(network, loss_at, LoopSettings(
        steps=given.steps, learning_rate=given.learning_rate, file=given.run / READER_FILE,
    ))  # fmt: skip


if __name__ == "__main__":
    main()
