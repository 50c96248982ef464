"""How much memory decoding takes, by the length of the clip: each length in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from ..modeling.flow import seeded_noise
from ..modeling.pipeline import decode, plan_generation
from ..modeling.reference import load_reference
from .machine import memory_mib


class DecodeMemory(NamedTuple):
    """Of one process, in MiB."""

    loaded: float
    """With the model in memory, before decoding."""
    peak: float


def decode_memory(weights: Path, duration_s: float) -> DecodeMemory:
    """Returns the memory of a fresh process that decodes a clip of this length chunk by chunk."""
    command = [sys.executable, "-m", __name__, str(weights), str(duration_s)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own module
    loaded, peak = (float(word) for word in answer.split())
    return DecodeMemory(loaded, peak)


def main() -> None:
    """Decodes noise, drops the frames, and prints what memory it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("duration_s", type=float)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_reference(arguments.weights)
    plan = plan_generation(model.config, tier="REALTIME", aspect_ratio="16:9", duration_s=arguments.duration_s, steps=1)
    latent = seeded_noise(0, 0, (1, *plan.shape.latent()))
    loaded = memory_mib("VmRSS")
    for frames in decode(model, plan, latent):
        if model.upsampler is not None:
            model.upsampler.enlarge(frames)
    print(loaded, memory_mib("VmHWM"))


if __name__ == "__main__":
    main()
