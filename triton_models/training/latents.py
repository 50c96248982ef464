"""Fits the VAE's linear part, and renders and encodes the clips that the transformer trains on.

Run as `python -m triton_models.training.latents --workers 2`. Each bucket of one aspect ratio and length becomes one
safetensors file of normalised latents [N, F, H, W, 16] (float16) and the scenes' seeds [N]. Clips are shown from their
start, as they will be asked for: where a motion has got to is then known from the frame's index.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..modeling.reference import VAE_FILE, ReferenceConfig, load_config, save_weights
from ..modeling.shapes import LATENT_CHANNELS, VideoShape
from ..modeling.vae import VideoVAE, blocks_of
from .run import RUNS, WEIGHTS
from .world.grammar import sample_scene
from .world.render import render
from .world.scene import Scene


@dataclass(frozen=True)
class Bucket:
    """Clips of one shape."""

    aspect: str
    frames: int
    clips: int

    @property
    def path(self) -> Path:
        """Where its latents are kept."""
        return RUNS / "latents" / f"{self.aspect.replace(':', 'x')}_{self.frames}.safetensors"


BUCKETS = (
    Bucket("16:9", 21, 9000),
    Bucket("16:9", 1, 16000),
    Bucket("16:9", 61, 6000),
    *(Bucket(aspect, 21, 1200) for aspect in ("9:16", "1:1", "4:3")),
    *(Bucket(aspect, 1, 1500) for aspect in ("9:16", "1:1", "4:3")),
    *(Bucket(aspect, 61, 700) for aspect in ("9:16", "1:1", "4:3")),
)
_FITTED_CLIPS = 1200
"""Clips whose principal components are taken."""
_PART = 100
"""Clips that a worker encodes at a time."""


def render_clip(
    scene: Scene, frames: int, config: ReferenceConfig, aspect: str, start_s: float = 0.0
) -> NDArray[np.uint8]:
    """Returns the clip, padded to the grid: [frames, H, W, 3]."""
    width, height = config.sizes[aspect]
    clip = render(scene, frames, config.fps, width, height, start_s=start_s)
    padded = VideoShape(frames, height, width).padded()
    return np.pad(clip, ((0, 0), (0, padded.height - height), (0, padded.width - width), (0, 0)), "edge")


def to_video(clip: NDArray[np.uint8]) -> Tensor:
    """uint8 [F, H, W, 3] to float32 [1, 3, F, H, W] in -1..1."""
    return torch.from_numpy(clip).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def sampled_blocks(clips: Iterable[NDArray[np.uint8]]) -> Tensor:
    """Returns 80 blocks of each clip, float32 [N, 768]."""
    samples = []
    for number, clip in enumerate(clips):
        blocks = blocks_of(to_video(clip)).flatten(0, 3)
        samples.append(blocks[torch.randperm(len(blocks), generator=torch.Generator().manual_seed(number))[:80]])
    return torch.cat(samples)


def fit_linear(vae: VideoVAE, blocks: Tensor, whitening: float = 0.5) -> None:
    """Sets mean, basis and scale of `vae` by the principal components of blocks [N, 768].

    Latents are divided by their deviation to the power of `whitening`, and brought to a mean square of 1. The default
    is half whitened: fully whitened, the small channels cost the transformer as much as the few that carry the layout.
    """
    mean = blocks.mean(0)
    _, deviations, basis = torch.pca_lowrank(blocks - mean, LATENT_CHANNELS, center=False, niter=6)
    deviations = deviations / len(blocks) ** 0.5
    vae.mean.copy_(mean)
    vae.basis.copy_(basis.T)
    vae.scale.copy_(deviations**whitening * (deviations ** (2 - 2 * whitening)).mean().sqrt())


def load_vae(config: ReferenceConfig) -> VideoVAE:
    """Returns the VAE as its weights are shipped: what is trained on must be what is decoded."""
    vae = VideoVAE(config.vae)
    vae.load_state_dict(load_file(WEIGHTS / VAE_FILE))
    return vae.eval()


@torch.inference_mode()
def encode_part(bucket: Bucket, seeds: range) -> Tensor:
    """Renders and encodes a few clips of a bucket: float16 [N, F, H, W, 16]."""
    torch.set_num_threads(1)
    config = load_config(WEIGHTS)
    vae = load_vae(config)
    scenes = (sample_scene(seed) for seed in seeds)
    clips = (render_clip(scene, bucket.frames, config, bucket.aspect) for scene in scenes)
    return torch.cat([vae.encode(to_video(clip)).half() for clip in clips])


def encode_bucket(bucket: Bucket, first_seed: int, workers: ProcessPoolExecutor) -> None:
    """Renders and encodes the clips of a bucket, unless its file is there."""
    if bucket.path.exists():
        return
    parts = [
        range(start, min(start + _PART, first_seed + bucket.clips))
        for start in range(first_seed, first_seed + bucket.clips, _PART)
    ]
    latents = torch.cat(list(workers.map(encode_part, [bucket] * len(parts), parts)))
    bucket.path.parent.mkdir(parents=True, exist_ok=True)
    partial = bucket.path.with_suffix(".partial")
    save_file({"latents": latents, "seeds": torch.arange(first_seed, first_seed + bucket.clips)}, partial)
    partial.replace(bucket.path)
    print(bucket, tuple(latents.shape), f"rms {latents.float().square().mean().sqrt():.3f}", flush=True)


def load_bucket(bucket: Bucket) -> tuple[Tensor, list[int]]:
    """Returns latents [N, F, H, W, 16] float16 and the seeds of their scenes."""
    saved = load_file(bucket.path)
    return saved["latents"], saved["seeds"].tolist()


def main() -> None:
    """Fits the linear VAE if it has no weights yet, then encodes every bucket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    workers = parser.parse_args().workers
    torch.manual_seed(0)
    begun = time.monotonic()
    if not (WEIGHTS / VAE_FILE).exists():
        config = load_config(WEIGHTS)
        vae = VideoVAE(config.vae)
        clips = (render_clip(sample_scene(seed), 21, config, "16:9") for seed in range(_FITTED_CLIPS))
        fit_linear(vae, sampled_blocks(clips))
        save_weights(vae, WEIGHTS / VAE_FILE)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for number, bucket in enumerate(BUCKETS):
            encode_bucket(bucket, 10**6 * (number + 1), pool)
    print(f"latents in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
