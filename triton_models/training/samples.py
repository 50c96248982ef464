"""Clips of a model for given prompts, and prompts that no training saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..modeling.pipeline import decode, plan_generation, sample, start
from ..modeling.reference import ReferenceModel
from .judges.questions import kind_of
from .world import words
from .world.grammar import caption, sample_scene
from .world.scene import Scene

_FIRST_SEED = 7 * 10**8
_SHARES = {"object": 0.5, "landscape": 0.26, "two objects": 0.12, "face": 0.12}
"""Of measured prompts: more landscapes and faces than the world has, so that there is something to count."""


@dataclass(frozen=True)
class Settings:
    """How to sample."""

    tier: str
    duration_s: float = 5.0
    aspect_ratio: str = "16:9"
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class Sample:
    """A generated clip."""

    latent: Tensor
    """[1, F, H, W, C]"""
    frames: NDArray[np.uint8]
    """[T, H, W, 3]"""
    fps: int


def draw_sample(model: ReferenceModel, prompt: str, seed: int, settings: Settings) -> Sample:
    """Returns the clip of a prompt with its latent."""
    plan = plan_generation(
        model.config,
        tier=settings.tier,
        aspect_ratio=settings.aspect_ratio,
        duration_s=settings.duration_s,
        steps=settings.steps,
        guidance=settings.guidance,
    )
    *_, last = sample(model, plan, start(plan, seed), model.text.encode(prompt))
    return Sample(last.latent, np.concatenate(list(decode(model, plan, last.latent))), plan.fps)


def generate(model: ReferenceModel, prompt: str, seed: int, settings: Settings) -> NDArray[np.uint8]:
    """Returns the clip of a prompt, uint8 [T, H, W, 3]."""
    return draw_sample(model, prompt, seed, settings).frames


def held_out(number: int) -> list[Scene]:
    """Returns scenes that no training saw."""
    return scenes_from(_FIRST_SEED, number)


def scenes_from(first_seed: int, number: int) -> list[Scene]:
    """Returns the first scenes from a seed on, of each kind its share."""
    wanted = {kind: max(1, round(share * number)) for kind, share in _SHARES.items()}
    scenes: list[Scene] = []
    found: Counter[str] = Counter()
    for seed in count(first_seed):
        if found == wanted:
            return scenes
        scene = sample_scene(seed)
        if found[kind_of(scene)] < wanted[kind_of(scene)]:
            found[kind_of(scene)] += 1
            scenes.append(scene)
    raise AssertionError("count does not end")


def telling_caption(scene: Scene) -> str:
    """Returns a caption that names every object's colour and shape; a few of the grammar's leave one open."""
    for seed in count(scene.seed):
        text = caption(scene, seed)
        named = [(words.COLOUR[actor.colour], words.SHAPE[actor.shape]) for actor in scene.actors]
        if all(any(word in text for word in options) for pair in named for options in pair):
            return text
    raise AssertionError("count does not end")
