from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triton_models.modeling.flow import SamplerState, advance
from triton_models.modeling.turbo.consistency import (
    advance_stochastic,
    flow_time,
    rcm_schedule,
    start,
    trig_angle,
    trig_scaling,
)

SHAPE = (1, 2, 4, 4, 16)


def field(latent: Tensor, t: float) -> Tensor:
    return torch.sin(3 * latent) + t


def finish(state: SamplerState, stop_at: int = 9) -> SamplerState:
    while state.step < min(stop_at, state.total_steps):
        state = advance_stochastic(state, field)
    return state


def test_the_schedule_is_that_of_rcm() -> None:
    assert rcm_schedule(4) == pytest.approx((0.98765, 0.93378, 0.85290, 0.60898, 0), abs=1e-5)
    assert rcm_schedule(2) == (*rcm_schedule(4)[:2], 0.0)
    with pytest.raises(ValueError, match="1 to 4 steps"):
        rcm_schedule(5)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.3, math.pi / 2])
def test_the_two_times_are_one_line(angle: float) -> None:
    data, noise = torch.randn(2, 50, dtype=torch.float64)
    scaling = trig_scaling(angle)
    turned = math.cos(angle) * data + math.sin(angle) * noise
    mixed = (1 - scaling.t) * data + scaling.t * noise
    torch.testing.assert_close(turned * scaling.scale_in, mixed)
    torch.testing.assert_close(scaling.skip * turned + scaling.out * (noise - data), data)
    assert trig_angle(flow_time(angle)) == pytest.approx(angle)


def test_a_turn_in_trigflow_is_an_euler_step_in_rectified_flow() -> None:
    """x_b = cos(a - b) x_a - sin(a - b) F, with F the TrigFlow velocity that the same network gives."""
    a, b = 1.2, 0.5
    turned, v = torch.randn(2, 50, dtype=torch.float64)
    here, there = trig_scaling(a), trig_scaling(b)
    data = here.skip * turned + here.out * v
    speed = (math.cos(a) * turned - data) / math.sin(a)
    after = math.cos(a - b) * turned - math.sin(a - b) * speed
    euler = turned * here.scale_in - v * (here.t - there.t)
    torch.testing.assert_close(after * there.scale_in, euler)


def test_every_step_but_the_last_depends_on_the_seed_and_resumes_to_the_same_bits() -> None:
    first = finish(start(SHAPE, 7, rcm_schedule(4)))
    for stop in range(1, 4):
        resumed = finish(finish(start(SHAPE, 7, rcm_schedule(4)), stop))
        assert torch.equal(resumed.latent, first.latent)
    assert not torch.equal(finish(start(SHAPE, 8, rcm_schedule(4))).latent, first.latent)
    with pytest.raises(ValueError, match="finished"):
        advance_stochastic(first, field)


def test_a_velocity_that_knows_the_data_reaches_it_both_ways() -> None:
    """Of one data point the velocity is (x - data) / t; any number of steps is exact."""
    data = torch.randn(SHAPE)

    def to_data(latent: Tensor, t: float) -> Tensor:
        return (latent - data) / t

    for advance_once in (advance, advance_stochastic):
        state = start(SHAPE, 1, rcm_schedule(4))
        while not state.finished:
            state = advance_once(state, to_data)
        torch.testing.assert_close(state.latent, data, atol=1e-5, rtol=1e-5)


def test_each_step_takes_fresh_noise() -> None:
    state = start(SHAPE, 3, (1.0, 0.5, 0.25))
    noises = []
    for _ in range(2):
        state = advance_stochastic(state, lambda latent, t: latent / t)
        noises.append(state.latent / state.sigma)
    assert abs(torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))[0, 1]) < 0.15
    assert noises[0].std().item() == pytest.approx(1, abs=0.1)
