"""Distillation on a toy whose teacher has a closed form: points of two lumps, a step away from noise."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from triton_models.modeling.dit import DiTConfig, Text, VideoDiT
from triton_models.modeling.guidance import guided_velocity
from triton_models.modeling.reference import ReferenceConfig, TierDefaults
from triton_models.training.distil import Distillation, learning_rate, stage_at
from triton_models.training.turbo.objectives import (
    Batch,
    Field,
    Stage,
    consistency_loss,
    guided_field,
    noise_level,
    progressive_loss,
    stages,
    teacher_path,
)

SHIFT = 2.0
SPREAD = 0.35
NO_TEXT = Text(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool))


def two_lumps(latents: Tensor, t_B: Tensor, text: Text) -> Tensor:
    """The exact velocity towards data that is -1 or 1, each spread by SPREAD."""
    t = t_B[:, None, None, None, None].clamp(1e-4, 1)
    variance = t**2 + ((1 - t) * SPREAD) ** 2
    data = torch.zeros_like(latents)
    likely = torch.sigmoid(2 * (1 - t) * latents / variance)
    for centre, weight in ((1.0, likely), (-1.0, 1 - likely)):
        data = data + weight * (centre + (1 - t) * SPREAD**2 / variance * (latents - (1 - t) * centre))
    return (latents - data) / t


class SmallField(nn.Module):
    """A network with the signature of a transformer; as a student does, it starts as its teacher."""

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(64, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), last)

    def forward(self, latents: Tensor, t_B: Tensor, text: Text) -> Tensor:
        t = t_B[:, None, None, None, None].expand_as(latents)
        velocity: Tensor = two_lumps(latents, t_B, text) + self.layers(torch.cat((latents, t), -1))
        return velocity


def toy_batch(generator: torch.Generator, size: int = 256) -> Batch:
    shape = (size, 1, 1, 1, 1)
    sign = torch.randint(0, 2, shape, generator=generator) * 2.0 - 1
    data = sign + SPREAD * torch.randn(shape, generator=generator)
    return Batch(data, torch.randn(shape, generator=generator), NO_TEXT)


@torch.no_grad()
def sample(field: Field, noise: Tensor, steps: int) -> Tensor:
    for index in range(steps):
        u = torch.full((len(noise),), index / steps)
        t, t_next = noise_level(u, SHIFT), noise_level(u + 1 / steps, SHIFT)
        noise = noise - (t - t_next)[:, None, None, None, None] * field(noise, t, NO_TEXT)
    return noise


def fit(network: nn.Module, loss_of: Callable[[Batch, torch.Generator], Tensor], steps: int) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for index in range(steps):
        generator = torch.Generator().manual_seed(index)
        loss = loss_of(toy_batch(generator), generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def miss(field: Field, steps: int, noise: Tensor, goal: Tensor) -> float:
    return (sample(field, noise, steps) - goal).square().mean().sqrt().item()


def test_four_progressive_steps_end_where_fifty_do() -> None:
    torch.manual_seed(0)
    noise = torch.randn(512, 1, 1, 1, 1)
    goal = sample(two_lumps, noise, 50)
    teacher: Field = two_lumps
    student = SmallField()
    for stage in stages((50, 25, 12, 6, 4), SHIFT):

        def loss(batch: Batch, g: torch.Generator, stage: Stage = stage, teacher: Field = teacher) -> Tensor:
            return progressive_loss(student, teacher, batch, stage, g)

        fit(student, loss, 60)
        teacher = copy.deepcopy(student)
    assert miss(student, 4, noise, goal) < 0.6 * miss(two_lumps, 4, noise, goal)


def test_a_consistent_student_jumps_to_the_data() -> None:
    torch.manual_seed(0)
    noise = torch.randn(512, 1, 1, 1, 1)
    goal = sample(two_lumps, noise, 48)
    student = SmallField()

    def loss(batch: Batch, generator: torch.Generator) -> Tensor:
        return consistency_loss(student, student, two_lumps, batch, 48, SHIFT, generator)

    fit(student, loss, 240)
    assert miss(student, 1, noise, goal) < 0.4 * miss(two_lumps, 1, noise, goal)


def test_a_stage_of_equal_strides_is_the_teachers_own_path() -> None:
    noise = torch.randn(8, 1, 1, 1, 1)
    stage = Stage(teacher_steps=12, student_steps=4, shift=SHIFT)
    end, t_B = teacher_path(two_lumps, noise, torch.zeros(8), stage, NO_TEXT)
    latents = noise
    for index in range(3):
        t, t_next = (noise_level(torch.full((8,), i / 12), SHIFT) for i in (index, index + 1))
        latents = latents - (t - t_next)[:, None, None, None, None] * two_lumps(latents, t, NO_TEXT)
    torch.testing.assert_close(end, latents)
    torch.testing.assert_close(t_B, noise_level(torch.full((8,), 0.25), SHIFT))


def test_the_path_stops_at_data_and_at_strides_that_do_not_divide() -> None:
    u_B = torch.tensor([0.0, 0.3, 0.9, 1.0])
    stage = Stage(teacher_steps=6, student_steps=4, shift=SHIFT)
    _, t_B = teacher_path(two_lumps, torch.randn(4, 1, 1, 1, 1), u_B, stage, NO_TEXT)
    torch.testing.assert_close(t_B, noise_level(torch.tensor([0.25, 0.55, 1.0, 1.0]), SHIFT))


def test_stages_of_a_ladder() -> None:
    assert [(s.teacher_steps, s.student_steps, s.on_grid) for s in stages((50, 12, 4), 1.0)] == [
        (50, 12, False),
        (12, 4, True),
    ]
    for ladder in ((4,), (4, 4), (4, 8)):
        with pytest.raises(ValueError, match="must fall"):
            stages(ladder, 1.0)


def test_time_is_shared_among_the_stages_and_the_last_has_most() -> None:
    assert [stage_at(share, 3)[0] for share in (0.0, 0.19, 0.21, 0.39, 0.41, 1.0)] == [0, 0, 1, 1, 2, 2]
    assert stage_at(1.0, 3) == (2, 1.0)
    assert learning_rate(0.0) < learning_rate(0.03) > learning_rate(0.5) > learning_rate(1.0) > 0


TINY = DiTConfig(width=16, depth=1, heads=2, text_width=8, summary_tokens=0)


def opened() -> VideoDiT:
    """A transformer whose output is not zero."""
    torch.manual_seed(5)
    dit = VideoDiT(TINY)
    nn.init.normal_(dit.patch_out.weight, std=0.2)
    nn.init.normal_(dit.out_table, std=0.5)
    nn.init.normal_(dit.get_parameter("blocks.0.cross.out.weight"), std=0.5)
    return dit


def tiny_batch(step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    data, noise = torch.randn(2, 3, 2, 4, 4, 16, generator=generator)
    return Batch(data, noise, Text(torch.randn(3, 5, 8, generator=generator), torch.ones(3, 5, dtype=torch.bool)))


def test_the_guided_teacher_is_the_guided_velocity_of_each_clip() -> None:
    dit, batch = opened(), tiny_batch(0)
    field = guided_field(dit, 3.0)(batch.noise, torch.full((3,), 0.8), batch.text)
    for index in range(3):
        text = Text(batch.text.embeddings_BKD[index : index + 1], batch.text.mask_BK[index : index + 1])
        alone = guided_velocity(dit, text, 3.0)(batch.noise[index : index + 1], 0.8)
        torch.testing.assert_close(field[index : index + 1], alone, atol=1e-4, rtol=1e-4)


def distillation() -> Distillation:
    tiers = {"STANDARD": TierDefaults(steps=50, solver="euler", guidance=3.0, shift=4.0)}
    return Distillation.of(opened(), ReferenceConfig(tiers=tiers), "progressive", (8, 4, 2))


def run(distilled: Distillation, first: int, last: int) -> list[float]:
    losses = []
    for step in range(first, last):
        distilled.climb(step // 3)
        losses.append(distilled.step(tiny_batch(step), 1e-3, torch.Generator().manual_seed(step), step))
    return losses


def test_a_run_resumed_in_its_second_stage_goes_on_as_if_never_stopped() -> None:
    whole = distillation()
    losses = run(whole, 0, 6)
    first = distillation()
    run(first, 0, 4)
    second = distillation()
    for name, part in first.parts().items():
        second.parts()[name].load_state_dict(copy.deepcopy(part.state_dict()))  # type: ignore[attr-defined]
    assert second.position.stage == 1
    assert run(second, 4, 6) == losses[4:]
    for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_second_stage_is_taught_by_the_first_ones_average() -> None:
    distilled = distillation()
    run(distilled, 0, 3)
    learned = copy.deepcopy(distilled.average.state_dict())
    distilled.climb(1)
    for network in (distilled.teacher, distilled.student):
        assert all(torch.equal(learned[name], value) for name, value in network.state_dict().items())
    assert not distilled.optimiser.state
