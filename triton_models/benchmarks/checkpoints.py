"""Prints what checkpoints cost: the time to denoise a clip with them, at the worker's default interval, and without.

Run as `python -m triton_models.benchmarks.checkpoints`. Both take turns, so that a busy machine meets them alike. The
disk is the one of the directory for temporary files. The copy into the object store is another process's work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from services.common.catalogue import load_catalogue
from services.worker.settings import Settings

from ..modeling.reference import load_reference
from ..serving.denoiser import DenoiserEngine
from ..serving.parameters import ModelParameters
from ..serving.reference import ReferenceDenoiser

_ENTRY = load_catalogue(Path(__file__).parents[2] / "deploy" / "catalogue.yaml").triton_models["REFERENCE"]
_GOAL = 0.02
_TOKENS = 12


@dataclass
class Times:
    """Of one variant."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Of all threads."""
    write_ms: list[float] = field(default_factory=list)
    """Of each checkpoint, beside the computation."""


def measure(engine: DenoiserEngine, folder: Path, steps: int, every: int, times: Times) -> None:
    """Denoises once."""
    request = {
        "tier": "STANDARD",
        "aspect_ratio": "16:9",
        "duration_s": 5,
        "embeddings": str(folder / "embeddings.safetensors"),
        "steps": steps,
        "guidance": 3.0,
        "seed": 7,
        "checkpoint_every": every,
        "checkpoint_dir": str(folder / "checkpoints"),
        "stop_file": str(folder / "stop"),
        "output": str(folder / "latents.safetensors"),
    }
    wall, cpu = time.perf_counter(), time.process_time()
    for message in engine.run(json.dumps(request)):
        times.write_ms += [written["write_ms"] for written in message.get("checkpoints", ())]
    times.wall_s.append(time.perf_counter() - wall)
    times.cpu_s.append(time.process_time() - cpu)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--every", type=int, default=Settings.model_fields["checkpoint_every_steps"].default)
    options = parser.parse_args()
    variants = {0: Times(), options.every: Times()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        parameters = ModelParameters(entry=_ENTRY, scratch_dir=folder, threads=1)
        engine = DenoiserEngine.load(parameters, ReferenceDenoiser.load)
        width = load_reference(_ENTRY.weights).config.text.width
        embeddings = {"text_embeddings": torch.zeros(_TOKENS, width), "text_mask": torch.ones(_TOKENS)}
        save_file(embeddings, folder / "embeddings.safetensors")
        measure(engine, folder, options.steps, options.every, Times())
        for _ in range(options.repeats):
            for every, times in variants.items():
                measure(engine, folder, options.steps, every, times)
    report(variants[0], variants[options.every], options.steps, options.every)


def report(without: Times, having: Times, steps: int, every: int) -> None:
    """Prints both and their ratio; the quickest runs are those that the machine disturbed least."""
    count = (steps - 1) // every
    print(
        f"{steps} steps of a 5 s clip, a checkpoint every {every} steps ({count}), medians of {len(having.wall_s)} runs"
    )
    print(f"{'':20}{'seconds':>10}{'CPU s':>10}{'quickest':>10}")
    for name, times in (("without", without), ("with", having)):
        figures = statistics.median(times.wall_s), statistics.median(times.cpu_s), min(times.wall_s)
        print(f"{name:20}" + "".join(f"{figure:10.3f}" for figure in figures))
    print(f"writing one beside the computation: {statistics.median(having.write_ms):.1f} ms")
    medians = statistics.median(having.wall_s) / statistics.median(without.wall_s) - 1
    quickest = min(having.wall_s) / min(without.wall_s) - 1
    print(
        f"cost of checkpoints: {medians:+.2%} of the time by medians, {quickest:+.2%} by quickest (goal: {_GOAL:.0%})"
    )


if __name__ == "__main__":
    main()
