"""The rules that judge samples must themselves be right about real renders."""

import numpy as np
import pytest

from triton_models.training.measure import find_object, motion_of
from triton_models.training.world.grammar import sample_actor
from triton_models.training.world.render import render
from triton_models.training.world.scene import Scene


@pytest.mark.parametrize("motion", ["bounce", "left", "right", "up", "down", "orbit", "grow", "still"])
@pytest.mark.parametrize("colour", ["red", "blue", "yellow", "purple"])
def test_motion_and_colour_of_real_clips(motion: str, colour: str) -> None:
    actor = sample_actor(np.random.default_rng(1), "ball", colour, "medium", motion)
    clip = render(Scene("grey", (actor,), 2), 60, 12, 112, 64)
    found = find_object(clip, colour)
    assert found.seen.mean() > 0.9
    assert motion_of(found) == motion


@pytest.mark.parametrize("shape", ["ball", "square", "triangle", "star"])
def test_shapes_of_real_clips(shape: str) -> None:
    actor = sample_actor(np.random.default_rng(1), shape, "orange", "big", "right")
    assert find_object(render(Scene("grey", (actor,), 2), 40, 12, 112, 64), "orange").shape == shape


def test_another_colour_is_not_found() -> None:
    actor = sample_actor(np.random.default_rng(1), "ball", "red", "medium", "left")
    clip = render(Scene("grass", (actor,), 2), 30, 12, 112, 64)
    assert not find_object(clip, "blue").seen.any()
    assert motion_of(find_object(clip, "blue")) == "none"
