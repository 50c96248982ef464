"""What the judges are asked of a clip, and the right answers of a rendered scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..world.scene import BACKDROPS, CAMERAS, COLOURS, LANDSCAPES, MOTIONS, SHAPES, TIMES, WEATHERS, Scene

KINDS = ("landscape", "object", "two objects", "face")
"""By the number of objects, and last what has a face instead."""

LOOKS: Mapping[str, tuple[str, ...]] = {
    "kind": KINDS,
    "shape": SHAPES,
    "colour": COLOURS,
    "place": (*BACKDROPS, *LANDSCAPES),
    "time": TIMES,
    "weather": WEATHERS,
}
"""Answered from single frames."""
MOVES: Mapping[str, tuple[str, ...]] = {"motion": MOTIONS, "camera": CAMERAS}
"""Answered from the course of a clip."""


def kind_of(scene: Scene) -> str:
    """Returns one of KINDS."""
    if scene.face is not None:
        return "face"
    return KINDS[len(scene.actors)]


def _in_landscapes(value: Callable[[Scene], str]) -> Callable[[Scene], frozenset[str]]:
    """Backdrops have no time, weather or camera of their own, so nothing is asked there."""
    return lambda scene: frozenset({value(scene)} if kind_of(scene) == "landscape" else ())


_ANSWERS: Mapping[str, Callable[[Scene], frozenset[str]]] = {
    "kind": lambda scene: frozenset({kind_of(scene)}),
    "shape": lambda scene: frozenset(actor.shape for actor in scene.actors),
    "colour": lambda scene: frozenset(actor.colour for actor in scene.actors),
    "place": lambda scene: frozenset({scene.place}),
    "time": _in_landscapes(lambda scene: scene.time),
    "weather": _in_landscapes(lambda scene: scene.weather),
    "motion": lambda scene: frozenset({scene.actors[0].motion} if len(scene.actors) == 1 else ()),
    "camera": _in_landscapes(lambda scene: scene.camera),
}


def answer(scene: Scene, question: str) -> frozenset[str]:
    """Returns the right answer: two where two objects differ, none where the question does not apply."""
    return _ANSWERS[question](scene)


def targets(scenes: list[Scene], questions: Mapping[str, tuple[str, ...]]) -> dict[str, Tensor]:
    """Returns, for each question, float [B, choices] with the answers' shares, or zeros where it does not apply."""
    rows = {}
    for question, choices in questions.items():
        hot = torch.tensor([[choice in answer(scene, question) for choice in choices] for scene in scenes]).float()
        rows[question] = hot / hot.sum(1, keepdim=True).clamp_min(1)
    return rows
