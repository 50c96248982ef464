import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from triton_models.modeling.flow import Solver, advance, initial_state, seeded_noise, shift_time, shifted_schedule

DEVIATION = 0.3


def exact_velocity(x: Tensor, t: float) -> Tensor:
    """The velocity of data ~ N(0, DEVIATION^2): E[noise - data | x_t], in closed form."""
    variance = (1 - t) ** 2 * DEVIATION**2 + t**2
    return x * (t - (1 - t) * DEVIATION**2) / variance


def error(solver: Solver, steps: int) -> float:
    """Distance from the exact end of the flow: noise times DEVIATION."""
    state = initial_state((1, 1, 4, 4, 16), 5, shifted_schedule(steps, 1), solver)
    noise = state.latent
    while not state.finished:
        state = advance(state, exact_velocity)
    return float((state.latent - noise * DEVIATION).abs().max())


def test_euler_is_of_first_order_and_heun_of_second() -> None:
    euler = math.log2(error("euler", 32) / error("euler", 64))
    heun = math.log2(error("heun", 32) / error("heun", 64))
    assert 0.8 < euler < 1.2
    assert 1.7 < heun < 2.6


def test_heun_beats_euler_at_the_same_number_of_evaluations() -> None:
    assert error("heun", 16) < 0.5 * error("euler", 31)


@pytest.mark.parametrize(("solver", "evaluations"), [("euler", 6), ("heun", 11)])
def test_evaluations(solver: Solver, evaluations: int) -> None:
    asked: list[float] = []

    def velocity(x: Tensor, t: float) -> Tensor:
        asked.append(t)
        return x

    state = initial_state((1, 1, 2, 2, 16), 0, shifted_schedule(6, 3), solver)
    while not state.finished:
        state = advance(state, velocity)
    assert len(asked) == evaluations
    assert min(asked) > 0
    with pytest.raises(ValueError, match="finished"):
        advance(state, velocity)


def test_schedules_fall_from_noise_to_data() -> None:
    levels = shifted_schedule(10, 4)
    assert levels[0] == 1
    assert levels[-1] == 0
    assert all(a > b for a, b in pairwise(levels))
    assert shifted_schedule(4, 1) == (1, 0.75, 0.5, 0.25, 0)
    assert shift_time(0.5, 4) == pytest.approx(0.8)


@pytest.mark.parametrize(("steps", "shift"), [(0, 1.0), (4, 0.0)])
def test_impossible_schedules_are_refused(steps: int, shift: float) -> None:
    with pytest.raises(ValueError, match="schedule"):
        shifted_schedule(steps, shift)


def test_noise_depends_on_seed_and_stream_alone() -> None:
    torch.manual_seed(1)
    first = seeded_noise(7, 0, (3, 1000))
    torch.manual_seed(2)
    assert torch.equal(first, seeded_noise(7, 0, (3, 1000)))
    for other in (seeded_noise(8, 0, (3, 1000)), seeded_noise(7, 1, (3, 1000))):
        assert abs(float((first * other).mean())) < 0.1
    assert abs(float(first.mean())) < 0.05
    assert float(first.std()) == pytest.approx(1, abs=0.05)
