"""Measures how well the shipped model does what prompts say, and draws a sheet of samples.

Run as `python -m triton_models.training.evaluate --prompts 60`. Prompts and seeds are fixed. Beside each share stands
what the same rules say of real renders of the same scenes (the ceiling of the measure).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..modeling.pipeline import decode, plan_generation, sample, start
from ..modeling.reference import ReferenceModel, load_reference
from .measure import find_object, motion_of
from .run import RUNS, WEIGHTS
from .sheet import save_sheet
from .world.grammar import caption, sample_scene
from .world.render import render
from .world.scene import Scene

SHOWN = (
    "a red ball bouncing on green grass",
    "a blue square moving left",
    "a yellow star moving right at night",
    "a big green triangle growing",
    "a purple ball orbiting on a black background",
    "an orange cube falling on sand",
    "a pink ball rolling on snow",
    "a small white ball moving up over the sea",
    "a lake at sunset with mountains",
    "ocean waves",
    "heavy rain",
    "a starry night sky",
)
_UNMEASURED = {"roll", "fall"}
"""Motions that the rules cannot tell from moving right, or from resting."""
_FIRST_SEED = 7 * 10**8


@dataclass(frozen=True)
class Settings:
    """How to sample."""

    tier: str
    duration_s: float = 5.0
    aspect_ratio: str = "16:9"
    steps: int | None = None
    guidance: float | None = None


def generate(model: ReferenceModel, prompt: str, seed: int, settings: Settings) -> NDArray[np.uint8]:
    """Returns the clip of a prompt, uint8 [T, H, W, 3]."""
    plan = plan_generation(
        model.config,
        tier=settings.tier,
        aspect_ratio=settings.aspect_ratio,
        duration_s=settings.duration_s,
        steps=settings.steps,
        guidance=settings.guidance,
    )
    *_, last = sample(model, plan, start(plan, seed), model.text.encode(prompt))
    return np.concatenate(list(decode(model, plan, last.latent)))


def measured_scenes(count: int) -> Iterator[Scene]:
    """Yields scenes that training never saw and whose motion the rules can judge."""
    seed = _FIRST_SEED
    while count:
        scene, seed = sample_scene(seed), seed + 1
        if scene.actor is not None and scene.actor.motion not in _UNMEASURED and scene.actor.colour != "white":
            count -= 1
            yield scene


def judge(clip: NDArray[np.uint8], scene: Scene) -> tuple[bool, bool, bool]:
    """Returns whether colour, shape and motion are those of the scene."""
    actor = scene.actor
    if actor is None:
        raise ValueError("a landscape has no object to judge")
    found = find_object(clip, actor.colour)
    seen = bool(found.seen.mean() > 0.5)
    return seen, seen and found.shape == actor.shape, seen and motion_of(found) == actor.motion


def follow_prompts(model: ReferenceModel, count: int, settings: Settings) -> str:
    """Returns one line with the share of prompts followed, and of real renders the rules accept."""
    made, real = [], []
    for scene in measured_scenes(count):
        clip = generate(model, caption(scene, scene.seed), scene.seed, settings)
        made.append(judge(clip, scene))
        frames, height, width, _ = clip.shape
        real.append(judge(render(scene, frames, model.config.fps, width, height), scene))
    shares = [np.array([*zip(*rows, strict=True), [all(row) for row in rows]]).mean(1) for rows in (made, real)]
    names = ("colour", "shape", "motion", "all")
    return ", ".join(f"{n} {a:.2f} (ceiling {b:.2f})" for n, a, b in zip(names, *shares, strict=True))


def main() -> None:
    """Prints the figures and writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--tier", default="REALTIME")
    parser.add_argument("--aspect-ratio", default="16:9")
    parser.add_argument("--duration-s", type=float, default=5.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    settings = Settings(chosen.tier, chosen.duration_s, chosen.aspect_ratio, chosen.steps, chosen.guidance)
    model = load_reference(chosen.weights)
    begun = time.process_time()
    clips = [generate(model, prompt, seed, settings) for seed, prompt in enumerate(SHOWN)]
    print(f"{(time.process_time() - begun) / len(SHOWN):.2f} CPU seconds a clip, {torch.get_num_threads()} threads")
    save_sheet(clips, RUNS / "samples.png")
    if chosen.prompts:
        print(settings, follow_prompts(model, chosen.prompts, settings))


if __name__ == "__main__":
    main()
