"""The student's sampler and time against TurboDiffusion's script."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triton_models.modeling.turbo.consistency import consistency_step, rcm_schedule, trig_scaling

from .golden import assert_parity, golden


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return golden("rcm")


def test_four_steps_reach_the_same_latent(recorded: dict[str, Tensor]) -> None:
    times = rcm_schedule(4)
    assert_parity(torch.tensor(times), recorded["times"])
    latent = recorded["noises"][0].double() * times[0]
    for t, t_next, noise in zip(times[:-1], times[1:], recorded["noises"][1:], strict=True):
        velocity = torch.sin(3 * latent.float()) + t * latent.float()
        latent = consistency_step(latent, velocity.double(), t, t_next, noise.double())
    assert_parity(latent, recorded["out"])


def test_scaling_from_trigflow(recorded: dict[str, Tensor]) -> None:
    ours = torch.tensor([trig_scaling(angle) for angle in recorded["angles"].tolist()], dtype=torch.float64)
    assert_parity(ours.T, recorded["scaling"])
