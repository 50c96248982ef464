"""The judges, on clips where the truth is known, and what is counted of their verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.training.judges import train
from triton_models.training.judges.frechet import frechet_distance
from triton_models.training.judges.judge import FEATURES, Judges, Opinion
from triton_models.training.judges.network import LOOKED_AT, WATCHED, View
from triton_models.training.judges.questions import LOOKS, MOVES, answer, kind_of, targets
from triton_models.training.samples import held_out
from triton_models.training.world.scene import Scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return held_out(16)


@pytest.fixture(scope="module")
def views(scenes: list[Scene]) -> View:
    return View.join([train.view_scene(scene) for scene in scenes])


def test_the_right_answers_are_those_of_the_scene(scenes: list[Scene]) -> None:
    wanted = targets(scenes, {**LOOKS, **MOVES})
    for row, scene in enumerate(scenes):
        objects = len(scene.actors)
        assert {choice for choice, share in zip(LOOKS["colour"], wanted["colour"][row], strict=True) if share} == {
            actor.colour for actor in scene.actors
        }
        assert wanted["kind"][row].sum() == wanted["place"][row].sum() == 1
        assert bool(wanted["motion"][row].any()) == (objects == 1)
        assert bool(wanted["weather"][row].any()) == (kind_of(scene) == "landscape")
    assert {kind_of(scene) for scene in scenes} == set(LOOKS["kind"])


def test_a_clip_of_any_size_and_length_is_seen_alike() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (60, 128, 224, 3), np.uint8)
    view = View.of(clip)
    assert view.frames.shape == (1, LOOKED_AT, 3, 64, 112)
    assert view.course.shape == (1, WATCHED, 3, 16, 28)
    still = View.of(np.repeat(clip[:1], 60, 0))
    assert torch.equal(still.frames, still.ground.expand_as(still.frames))


def test_judges_learn_what_they_are_shown(scenes: list[Scene], views: View) -> None:
    torch.manual_seed(0)
    judges = train.train(scenes, views, 36)
    seen = train.accuracy(judges.opinion(views), scenes)
    assert all(good >= 0.7 * asked for name, (good, asked) in seen.items() if name in {"kind", "colour", "place"})
    assert judges.opinion(views).features.shape == (len(scenes), FEATURES)


def test_saved_judges_say_the_same(views: View, tmp_path: Path) -> None:
    torch.manual_seed(0)
    judges = train.with_directions(Judges.untrained(), views)
    judges.save(tmp_path / "judges.safetensors")
    before, after = (j.opinion(views) for j in (judges, Judges.load(tmp_path / "judges.safetensors")))
    assert np.array_equal(before.features, after.features)
    assert all(torch.equal(before.scores[name], after.scores[name]) for name in before.scores)


def test_two_objects_need_both_answers(scenes: list[Scene]) -> None:
    scene = next(scene for scene in scenes if len(answer(scene, "colour")) == 2)
    both = targets([scene], LOOKS)["colour"]
    one_wrong = both.clone()
    one_wrong[0, int(both.argmax())] = 0
    one_wrong[0, int(both.argmin())] = 1
    features = np.zeros((1, FEATURES))
    assert Opinion({"colour": both}, features).right(0, scene, "colour") is True
    assert Opinion({"colour": one_wrong}, features).right(0, scene, "colour") is False
    assert Opinion({"weather": torch.ones(1, 4)}, features).right(0, scene, "weather") is None


def test_the_distance_is_that_of_the_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (20_000, 2)), rng.normal([3, 0], [2, 1], (20_000, 2))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, b) == pytest.approx(9 + 1, rel=0.05)
