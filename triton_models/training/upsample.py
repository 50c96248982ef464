"""Trains the network that doubles the size of finished frames, on scenes drawn at both sizes.

Run as `python -m triton_models.training.upsample --minutes 12`, after `vae`: what it enlarges has passed through the
VAE, with a little noise on the latents, as what the transformer makes will have.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from ..modeling.reference import UPSAMPLER_FILE, ReferenceConfig, load_config, save_weights
from ..modeling.upsampler import FACTOR, Upsampler, UpsamplerConfig
from ..modeling.vae import VideoVAE
from .latents import load_vae, to_video
from .run import RUNS, WEIGHTS, Run
from .sheet import save_curve, save_sheet
from .world.grammar import sample_scene
from .world.render import render

LEARNING_RATE = 2e-3
_CLIPS = 3
_FRAMES = 5
_LATENT_NOISE = 0.06
_SAVE_EVERY_S = 180
_ASPECT = "16:9"


@torch.inference_mode()
def pair(seed: int, vae: VideoVAE, config: ReferenceConfig) -> tuple[Tensor, Tensor]:
    """Returns frames as they are decoded [4, 3, H, W], and as they should be [4, 3, 2H, 2W]."""
    rng = np.random.default_rng((seed, 10))
    scene, start_s = sample_scene(seed), rng.uniform(0, 4)
    width, height = config.sizes[_ASPECT]
    small, large = (
        to_video(render(scene, _FRAMES, config.fps, scale * width, scale * height, start_s=start_s))
        for scale in (1, FACTOR)
    )
    latent = vae.encode(small)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    with torch.autocast("cpu", torch.bfloat16):
        decoded = vae(latent + _LATENT_NOISE * noise).float().clamp(-1, 1)
    return decoded[0, :, 4:].transpose(0, 1), large[0, :, 1:].transpose(0, 1)


def train(minutes: float) -> None:
    """Trains until `minutes` in all have passed."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = load_config(WEIGHTS)
    vae, network = load_vae(config), Upsampler(config.upsampler or UpsamplerConfig())
    optimiser = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98), fused=True)
    parts: dict[str, Any] = {"network": network, "optimiser": optimiser}
    run = Run.open("upsampler", parts)
    saved_at = run.elapsed_s
    while run.elapsed_s < minutes * 60:
        share = run.elapsed_s / (minutes * 60)
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (run.step + 1) / 50) * math.cos(share * 1.5)
        pairs = [pair(6 * 10**7 + run.step * _CLIPS + index, vae, config) for index in range(_CLIPS)]
        small, large = (torch.cat(frames).clone() for frames in zip(*pairs, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            error = network(small) - large
        loss = (error.float().square() + 1e-4).sqrt().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        run.record(loss.item())
        if run.elapsed_s - saved_at > _SAVE_EVERY_S:
            _publish(run, parts, vae, config)
            saved_at = run.elapsed_s
    _publish(run, parts, vae, config)
    print(run.cost())


def _publish(run: Run, parts: dict[str, Any], vae: VideoVAE, config: ReferenceConfig) -> None:
    run.save(parts)
    save_weights(parts["network"], WEIGHTS / UPSAMPLER_FILE)
    save_curve(run.losses, RUNS / "upsampler_loss.png")
    print(f"step {run.step}: {report(parts['network'], vae, config)}", flush=True)


@torch.inference_mode()
def report(network: Upsampler, vae: VideoVAE, config: ReferenceConfig, clips: int = 16) -> str:
    """Writes a sheet of bilinear, learned and drawn frames of unseen scenes, and returns the PSNR of the first two."""
    rows, ratios = [], []
    for seed in range(clips):
        small, large = pair(9 * 10**7 + seed, vae, config)
        plain, learned = fn.interpolate(small, scale_factor=FACTOR, mode="bilinear"), network(small)
        rows += [_pixels(frames[:1]) for frames in (plain, learned, large)]
        ratios.append([_psnr(frames, large) for frames in (plain, learned)])
    save_sheet([np.concatenate(rows[at::3]) for at in range(3)], RUNS / "upsampler.png", columns=6)
    plain_db, learned_db = np.mean(ratios, 0)
    return f"{learned_db:.2f} dB, bilinear {plain_db:.2f} dB"


def _psnr(made: Tensor, wanted: Tensor) -> float:
    return 10 * math.log10(4 / float((made.clamp(-1, 1) - wanted).square().mean()))


def _pixels(video_FCHW: Tensor) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = ((video_FCHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    return levels.transpose(0, 2, 3, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12.0)
    train(parser.parse_args().minutes)
