"""Renders clips and keeps what training needs of their sound: `python -m triton_models.training.audio.prepare`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from triton_models.modeling.audio.autoencoder import to_features
from triton_models.modeling.audio.spectrum import analyse
from triton_models.modeling.audio.tracks import TOKEN_RATE_HZ, track_tokens
from triton_models.training.audio.clips import CLIP_S, sample_clip
from triton_models.training.audio.loop import RUN_FOLDER

CLIPS_FILE = "clips.safetensors"

_REPORT_EVERY = 200


def prepared(seed: int) -> dict[str, Tensor]:
    """Features of the sound [L, D], track tokens [V, C] and condition vector of the clip of `seed`."""
    clip = sample_clip(seed)
    tokens, _ = track_tokens(clip.tracks(), round(CLIP_S * TOKEN_RATE_HZ))
    features = to_features(analyse(torch.from_numpy(clip.sound())[None]))[0]
    return {
        "features": features.half(),
        "tracks": tokens.half(),
        "conditions": torch.tensor(clip.conditions),
        "seed": torch.tensor(seed),
    }


def main() -> None:
    """Writes clips 0 to --clips - 1 into one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1600)
    parser.add_argument("--run", type=Path, default=RUN_FOLDER)
    given = parser.parse_args()
    torch.set_num_threads(1)
    started, rows = time.monotonic(), []
    for seed in range(given.clips):
        rows.append(prepared(seed))
        if (seed + 1) % _REPORT_EVERY == 0:
            print(f"clip {seed + 1}/{given.clips}  {time.monotonic() - started:.0f} s", flush=True)
    given.run.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.stack([row[name] for row in rows]) for name in rows[0]}, given.run / CLIPS_FILE)


if __name__ == "__main__":
    main()
