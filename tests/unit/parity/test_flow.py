"""Schedules, solvers and small parts against diffusers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triton_models.modeling.attention import rotate
from triton_models.modeling.dit import _TIME_FEATURES, DiTConfig, VideoDiT
from triton_models.modeling.flow import SamplerState, Solver, advance, shifted_schedule
from triton_models.modeling.vae import ChannelNorm

from .golden import assert_parity, golden


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return golden("flow_and_primitives")


def field(latent: Tensor, t: float) -> Tensor:
    return torch.sin(3 * latent) + t * latent


def solve(start: Tensor, timesteps: tuple[float, ...], solver: Solver) -> Tensor:
    state = SamplerState(start, 0, timesteps, solver, 0)
    while not state.finished:
        state = advance(state, field)
    return state.latent


@pytest.mark.parametrize("shift", [1.0, 4.0])
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_schedules(recorded: dict[str, Tensor], shift: float, steps: int) -> None:
    assert_parity(torch.tensor(shifted_schedule(steps, shift)), recorded[f"sigmas_{shift:g}_{steps}"])


@pytest.mark.parametrize("shift", [1.0, 4.0])
def test_euler(recorded: dict[str, Tensor], shift: float) -> None:
    assert_parity(solve(recorded["x"], shifted_schedule(4, shift), "euler"), recorded[f"euler_{shift:g}"])


def test_heun_takes_as_many_evaluations_to_the_same_place(recorded: dict[str, Tensor]) -> None:
    timesteps = tuple(recorded["heun_sigmas"].tolist())
    assert_parity(solve(recorded["x"], timesteps, "heun"), recorded["heun"])
    assert recorded["heun_evaluations"].item() == 2 * (len(timesteps) - 1) - 1


def test_rotary_positions(recorded: dict[str, Tensor]) -> None:
    assert_parity(rotate(recorded["rotary_in"], recorded["rotary_angles"]), recorded["rotary_out"])


def test_features_of_the_noise_level(recorded: dict[str, Tensor]) -> None:
    """What the first layer of the transformer's time network is given.

    The last bit of a rate is the machine's, and angles go up to 1000 radians, of which float32 knows 6e-5.
    """
    dit = VideoDiT(DiTConfig(width=8, depth=0, heads=1, text_width=8, summary_tokens=0))
    seen: list[Tensor] = []
    dit.time.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    times = recorded["time"]
    dit(torch.zeros(len(times), 1, 2, 2, 16), times, dit.null_text(len(times), 1))
    assert seen[0].shape[-1] == _TIME_FEATURES
    torch.testing.assert_close(seen[0], recorded["time_features"], rtol=0, atol=6.2e-5)


def test_the_channel_norm_of_the_decoder(recorded: dict[str, Tensor]) -> None:
    norm = ChannelNorm(8)
    norm.load_state_dict({"gain": recorded["norm_gain"]})
    assert_parity(norm(recorded["norm_in"]).detach(), recorded["norm_out"])
