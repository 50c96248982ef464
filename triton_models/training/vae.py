"""Trains the VAE's decoder to refine the linear picture; the encoder, and with it the latent space, stays as fitted.

Run as `python -m triton_models.training.vae --minutes 15`, after `latents`. Latents get a little noise in training,
since those that the transformer makes are not exact either.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..modeling.pipeline import to_frames
from ..modeling.reference import VAE_FILE, ReferenceConfig, load_config, save_weights
from ..modeling.shapes import TEMPORAL_FACTOR
from ..modeling.vae import VideoVAE
from .latents import render_clip, to_video
from .run import RUNS, WEIGHTS, Run
from .sheet import save_curve, save_sheet
from .world.grammar import sample_scene
from .world.scene import Scene

LEARNING_RATE = 2e-3
_BATCH = 4
_LATENT_NOISE = 0.06
_FAST = {"bounce", "orbit", "fall", "roll"}
_SAVE_EVERY_S = 180


def _scene(seed: int) -> Scene:
    """Half of the scenes have what the linear picture blurs: an object that moves fast, or a face."""
    scene = sample_scene(seed)
    while seed % 2 and scene.face is None and not any(actor.motion in _FAST for actor in scene.actors):
        seed += 2 * 10**6
        scene = sample_scene(seed)
    return scene


def _clip(seed: int, config: ReferenceConfig) -> Tensor:
    """[1, 3, 9, 64, 64]: small cut-outs teach the decoder as much as whole clips and vary more."""
    rng = np.random.default_rng((seed, 7))
    clip = to_video(render_clip(_scene(seed), 9, config, "16:9", start_s=rng.uniform(0, 4)))
    left = int(rng.integers(0, (clip.shape[4] - 64) // 8 + 1)) * 8
    return clip[..., :64, left : left + 64]


def decoder_loss(vae: VideoVAE, video: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the mean of sqrt(error^2 + 1e-4) over the clip decoded from slightly noisy latents."""
    latent = vae.encode(video)
    latent = latent + _LATENT_NOISE * torch.randn(latent.shape, generator=generator)
    decoded = vae(latent)[:, :, TEMPORAL_FACTOR - 1 :]
    loss: Tensor = ((decoded - video).float().square() + 1e-4).sqrt().mean()
    return loss


def train(minutes: float, name: str) -> None:
    """Trains until `minutes` in all have passed."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = load_config(WEIGHTS)
    vae = VideoVAE(config.vae)
    vae.load_state_dict(load_file(WEIGHTS / VAE_FILE))
    optimiser = torch.optim.AdamW(vae.refiner.parameters(), betas=(0.9, 0.98), fused=True)
    parts: dict[str, Any] = {"vae": vae, "optimiser": optimiser}
    run = Run.open(name, parts)
    saved_at = run.elapsed_s
    while run.elapsed_s < minutes * 60:
        share = run.elapsed_s / (minutes * 60)
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (run.step + 1) / 50) * math.cos(share * 1.5)
        video = torch.cat([_clip(5 * 10**7 + run.step * _BATCH + index, config) for index in range(_BATCH)])
        with torch.autocast("cpu", torch.bfloat16):
            loss = decoder_loss(vae, video, torch.Generator().manual_seed(run.step))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(vae.refiner.parameters(), 0.5)
        optimiser.step()
        run.record(loss.item())
        if run.elapsed_s - saved_at > _SAVE_EVERY_S:
            _publish(run, parts, vae, config)
            saved_at = run.elapsed_s
    _publish(run, parts, vae, config)
    print(run.cost())


def _publish(run: Run, parts: dict[str, Any], vae: VideoVAE, config: ReferenceConfig) -> None:
    run.save(parts)
    save_weights(vae, WEIGHTS / VAE_FILE)
    save_curve(run.losses, RUNS / "vae_loss.png")
    print(f"step {run.step}: {report(vae, config):.2f} dB", flush=True)


@torch.inference_mode()
def report(vae: VideoVAE, config: ReferenceConfig, clips: int = 12) -> float:
    """Writes a sheet of originals above their reconstructions, and returns the mean PSNR in dB over unseen clips."""
    rows, ratios = [], []
    for seed in range(clips):
        clip = render_clip(sample_scene(9 * 10**7 + seed), 21, config, "16:9")
        decoded = to_frames(vae.decode(vae.encode(to_video(clip)))[0])
        ratios.append(10 * math.log10(255**2 / float(np.square(clip.astype(float) - decoded).mean())))
        rows += [clip, decoded]
    save_sheet(rows, RUNS / "vae.png")
    return float(np.mean(ratios))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--name", default="vae")
    arguments = parser.parse_args()
    train(arguments.minutes, arguments.name)
