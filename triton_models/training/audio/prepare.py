"""Renders clips and keeps what training needs of them: `python -m triton_models.training.audio.prepare`.

Pictures are kept as the reader will see them: through the latents of the video autoencoder, which blur motion within
four frames; in most clips the latents are disturbed a little, as a sampler's are.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from triton_models.modeling.audio.autoencoder import to_features
from triton_models.modeling.audio.cues import condition_vector
from triton_models.modeling.audio.model import load_video_vae
from triton_models.modeling.audio.spectrum import analyse
from triton_models.modeling.audio.tracks import TRACK_RATE_HZ, SoundTracks, bumps, track_tokens
from triton_models.modeling.vae import VideoVAE
from triton_models.training.audio.clips import CLIP_S, Clip, pooled, sample_clip
from triton_models.training.audio.loop import REFERENCE, RUN_FOLDER

CLIPS_FILE = "clips.safetensors"

_REPORT_EVERY = 120
_MOST_NOISE = 0.25
"""Standard deviation of the strongest disturbance of (unit-variance) latents."""


def prepared(seed: int, vae: VideoVAE) -> dict[str, Tensor]:
    """What is kept of the clip of `seed`.

    Sound features [L, D], track tokens [L, C], ambiences [A]; and the frames that the reader sees, with what it should
    find in them.
    """
    clip = sample_clip(seed)
    features = to_features(analyse(torch.from_numpy(clip.sound())[None]))[0]
    return {
        "features": features.half(),
        "tracks": track_tokens(clip.tracks(), clip.score, len(features)).half(),
        "ambience": torch.tensor(condition_vector(clip.events.ambience)),
        "frames": (255 * _seen(clip, vae)).round().byte(),
        "target": reader_target(clip.tracks()).half(),
    }


def reader_target(tracks: SoundTracks) -> Tensor:
    """[len(CHANNELS), T]: what the reader should answer, with size and place of hits as they are."""
    impact, *weighted = bumps(tracks.hits, round(CLIP_S * TRACK_RATE_HZ))
    at_hits = [np.divide(channel, impact, out=np.zeros_like(channel), where=impact > 1e-3) for channel in weighted]
    motion = (tracks.whoosh, tracks.roll, tracks.tone, tracks.pan)
    return torch.from_numpy(np.stack([impact.clip(0, 1), *at_hits, *motion]))


def _seen(clip: Clip, vae: VideoVAE) -> Tensor:
    generator = torch.Generator().manual_seed(clip.seed)
    latents = clip.latents(vae)
    level = max(float(torch.empty(()).uniform_(-0.3, 1, generator=generator)), 0) * _MOST_NOISE
    return pooled(vae, latents + level * torch.randn(latents.shape, generator=generator))


def main() -> None:
    """Writes clips 0 to --clips - 1 into one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=720)
    parser.add_argument("--run", type=Path, default=RUN_FOLDER)
    parser.add_argument("--weights", type=Path, default=REFERENCE, help="folder with the video autoencoder")
    given = parser.parse_args()
    torch.set_num_threads(1)
    vae = load_video_vae(given.weights)
    started, rows = time.monotonic(), []
    for seed in range(given.clips):
        rows.append(prepared(seed, vae))
        if (seed + 1) % _REPORT_EVERY == 0:
            print(f"clip {seed + 1}/{given.clips}  {time.monotonic() - started:.0f} s", flush=True)
    given.run.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.stack([row[name] for row in rows]) for name in rows[0]}, given.run / CLIPS_FILE)


if __name__ == "__main__":
    main()
