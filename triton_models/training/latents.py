"""Fits the VAE's linear part, and renders and encodes the clips that the transformer trains on.

Run as `python -m triton_models.training.latents`. Each bucket of one aspect ratio and length becomes one safetensors
file of normalised latents [N, F, H, W, 16] (float16) and the scenes' seeds [N].
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..modeling.reference import VAE_FILE, ReferenceConfig, save_weights
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
        return RUNS / f"latents_{self.aspect.replace(':', 'x')}_{self.frames}.safetensors"


BUCKETS = (
    Bucket("16:9", 21, 9000),
    Bucket("9:16", 21, 1200),
    Bucket("1:1", 21, 1200),
    Bucket("4:3", 21, 1200),
    Bucket("16:9", 61, 2400),
    Bucket("9:16", 61, 300),
    Bucket("1:1", 61, 300),
    Bucket("4:3", 61, 300),
)


def render_clip(scene: Scene, frames: int, config: ReferenceConfig, aspect: str) -> NDArray[np.uint8]:
    """Returns the clip, padded to the grid, from a start that depends on the scene: [frames, H, W, 3]."""
    width, height = config.sizes[aspect]
    rng = np.random.default_rng((scene.seed, 5))
    spare_s = 0.0 if scene.begins or frames > 40 or rng.random() < 0.3 else 3.2
    clip = render(scene, frames, config.fps, width, height, start_s=spare_s * rng.random())
    padded = VideoShape(frames, height, width).padded()
    return np.pad(clip, ((0, 0), (0, padded.height - height), (0, padded.width - width), (0, 0)), "edge")


def to_video(clip: NDArray[np.uint8]) -> Tensor:
    """uint8 [F, H, W, 3] to float32 [1, 3, F, H, W] in -1..1."""
    return torch.from_numpy(clip).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def fit_linear(vae: VideoVAE, config: ReferenceConfig, clips: int = 1200) -> None:
    """Sets mean, basis and scale of `vae` by principal components of rendered blocks.

    Latents are half whitened (divided by the square root of their deviation) and of unit mean square: fully whitened,
    the small channels cost the transformer as much as the few that carry the layout.
    """
    samples = []
    for seed in range(clips):
        blocks = blocks_of(to_video(render_clip(sample_scene(seed), 21, config, "16:9")))
        keep = torch.randperm(blocks[..., 0].numel(), generator=torch.Generator().manual_seed(seed))[:80]
        samples.append(blocks.flatten(0, 3)[keep])
    flat = torch.cat(samples)
    mean = flat.mean(0)
    _, deviations, basis = torch.pca_lowrank(flat - mean, LATENT_CHANNELS, center=False, niter=6)
    deviations = deviations / len(flat) ** 0.5
    vae.mean.copy_(mean)
    vae.basis.copy_(basis.T)
    vae.scale.copy_(deviations.sqrt() * deviations.mean().sqrt())


@torch.inference_mode()
def encode_bucket(vae: VideoVAE, config: ReferenceConfig, bucket: Bucket, first_seed: int) -> None:
    """Renders and encodes the clips of a bucket, unless its file is there."""
    if bucket.path.exists():
        return
    seeds = range(first_seed, first_seed + bucket.clips)
    latents = torch.cat(
        [
            vae.encode(to_video(render_clip(sample_scene(seed), bucket.frames, config, bucket.aspect))).half()
            for seed in seeds
        ]
    )
    save_file({"latents": latents, "seeds": torch.tensor(list(seeds))}, bucket.path)
    print(bucket, tuple(latents.shape), f"rms {latents.float().square().mean().sqrt():.3f}", flush=True)


def load_bucket(bucket: Bucket) -> tuple[Tensor, list[int]]:
    """Returns latents [N, F, H, W, 16] float16 and the seeds of their scenes."""
    saved = load_file(bucket.path)
    return saved["latents"], saved["seeds"].tolist()


def main() -> None:
    """Fits the linear VAE if it has no weights yet, then encodes every bucket."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.manual_seed(0)
    begun = time.monotonic()
    config = ReferenceConfig()
    vae = VideoVAE(config.vae)
    if (WEIGHTS / VAE_FILE).exists():
        vae.load_state_dict(load_file(WEIGHTS / VAE_FILE))
    else:
        fit_linear(vae, config)
        # What is trained on must be what is shipped, so the basis is rounded before anything is encoded with it.
        save_weights(vae, WEIGHTS / VAE_FILE)
        vae.load_state_dict(load_file(WEIGHTS / VAE_FILE))
    RUNS.mkdir(parents=True, exist_ok=True)
    for number, bucket in enumerate(BUCKETS):
        encode_bucket(vae, config, bucket, 10**6 * (number + 1))
    print(f"latents in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
