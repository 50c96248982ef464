"""Stored paths of a teacher, and a student that learns its four steps from them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.support.weights import write_random_weights
from triton_models.modeling.dit import Text
from triton_models.modeling.flow import shifted_schedule
from triton_models.modeling.guidance import guided_velocity
from triton_models.modeling.reference import DIT_FILE, load_reference
from triton_models.training.turbo import paths as stored
from triton_models.training.turbo import student as training
from triton_models.training.turbo.objectives import Field
from triton_models.training.turbo.paths import Paths, follow_teacher

NO_TEXT = Text(torch.zeros(64, 1, 1), torch.ones(64, 1, dtype=torch.bool))
SHIFT = 2.0


def curved(latents: Tensor, t_B: Tensor, text: Text) -> Tensor:
    """A velocity that turns on the way: four straight steps miss where it leads."""
    t = t_B.view(len(t_B), -1)[:, :, None, None, None]
    return torch.sin(2 * latents + 3 * t)


class SmallField(nn.Module):
    """A student that starts as its teacher."""

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(64, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), last)

    def forward(self, latents: Tensor, t_B: Tensor, text: Text) -> Tensor:
        t = t_B.view(len(t_B), -1)[:, :, None, None, None].expand_as(latents)
        velocity: Tensor = curved(latents, t_B, text) + self.layers(torch.cat((latents, t), -1))
        return velocity


def ends(field: Field, noise: Tensor, steps: int) -> Tensor:
    levels = shifted_schedule(steps, SHIFT)
    with torch.no_grad():
        for t, t_next in itertools.pairwise(levels):
            noise = noise - (t - t_next) * field(noise, torch.full((len(noise),), t), NO_TEXT)
    return noise


def test_a_path_ends_where_the_teachers_own_steps_do() -> None:
    noise = torch.randn(64, 1, 1, 1, 1)
    paths = follow_teacher(curved, noise, NO_TEXT, SHIFT, strides=5)
    assert paths.timesteps == shifted_schedule(4, SHIFT)
    latents, velocity = paths.at(torch.full((64,), 3))
    torch.testing.assert_close(latents - paths.timesteps[3] * velocity, ends(curved, noise, 20))
    start, _ = paths.at(torch.zeros(64, dtype=torch.int64))
    assert torch.equal(start, noise)


def test_saved_paths_are_the_same_to_half_precision(tmp_path: Path) -> None:
    paths = follow_teacher(curved, torch.randn(64, 1, 1, 1, 1), NO_TEXT, SHIFT, strides=2)
    paths.save(tmp_path / "0.safetensors")
    again = Paths.load(tmp_path / "0.safetensors")
    torch.testing.assert_close(again.velocities, paths.velocities, atol=1e-3, rtol=1e-3)
    assert again.timesteps == pytest.approx(paths.timesteps)
    assert [path.name for path in tmp_path.iterdir()] == ["0.safetensors"]


def test_four_learned_steps_end_nearer_to_where_twenty_do() -> None:
    torch.manual_seed(0)
    noise, student = torch.randn(64, 1, 1, 1, 1), SmallField()
    paths = follow_teacher(curved, noise, NO_TEXT, SHIFT, strides=5)
    optimiser = torch.optim.Adam(student.parameters(), 3e-3)
    for _ in range(300):
        loss = training.path_loss(student, paths, torch.randint(4, (64,)))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    goal = ends(curved, noise, 20)
    miss: Callable[[Field], float] = lambda field: (ends(field, noise, 4) - goal).square().mean().item()  # noqa: E731
    assert miss(student) < 0.3 * miss(curved)


def test_paths_are_made_once_and_a_student_trains_on_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_random_weights(tmp_path)
    model = load_reference(tmp_path)
    for module in (stored, training):
        monkeypatch.setattr(module, "RUNS", tmp_path)
    monkeypatch.setattr("triton_models.training.run.RUNS", tmp_path)
    monkeypatch.setattr(stored, "DURATION_S", 1.0)
    monkeypatch.setattr(stored, "TOGETHER", 2)
    beginnings = stored.Beginnings(config, model.text, model.vae)
    folder = stored.folder_of(tmp_path / DIT_FILE)
    with pytest.raises(FileNotFoundError, match="run triton_models"):
        training.Library(folder).look()
    stored.make(model.dit, beginnings, folder, range(2))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    stored.make(model.dit, beginnings, folder, range(2))
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    _first_stride_is_guided(Paths.load(min(before)), model.dit, config.tiers["STANDARD"].guidance)

    start = copy.deepcopy(model.dit).requires_grad_()
    training.train(start, training.Library(folder), 0.02, "student", tmp_path / "student.safetensors", compiled=False)
    model.dit.load_state_dict(torch.load(tmp_path / "student.pt", weights_only=True)["average"])
    assert (tmp_path / "student.safetensors").exists()


def _first_stride_is_guided(paths: Paths, dit: nn.Module, scale: float) -> None:
    text = Text(paths.text.embeddings_BKD[:1], paths.text.mask_BK[:1])
    alone = guided_velocity(dit, text, scale, held=paths.held)(paths.noise[:1], 1.0)  # type: ignore[arg-type]
    alike = torch.cosine_similarity(alone.flatten(), paths.velocities[:1, 0].flatten(), 0)
    assert alike > 0.9


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [training.learning_rate(step, share) for step, share in ((0, 0.0), (20, 0.01), (400, 0.5), (900, 1.0))]
    assert rates[0] < rates[1] > rates[2] > rates[3] == 0


def test_a_given_frame_stays_and_costs_the_student_nothing(tmp_path: Path) -> None:
    noise = torch.randn(64, 3, 1, 1, 1)
    paths = follow_teacher(curved, noise, NO_TEXT, SHIFT, strides=2, held=1)
    paths.save(tmp_path / "0.safetensors")
    again = Paths.load(tmp_path / "0.safetensors")
    assert again.held == 1
    latents, velocity = again.at(torch.full((64,), 3))
    torch.testing.assert_close(latents[:, :1], noise[:, :1], atol=1e-2, rtol=1e-2)

    def wrong_there(latents: Tensor, t: Tensor, text: Text) -> Tensor:
        assert not t[:, 0].any()
        assert t[:, 1:].all()
        return torch.cat((velocity[:, :1] + 5, velocity[:, 1:]), 1)

    assert training.path_loss(wrong_there, again, torch.full((64,), 3)) == 0
