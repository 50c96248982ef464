"""Sampling in a few steps with a distilled student, and how its two descriptions of time relate.

Rectified flow mixes x_t = (1 - t) data + t noise, t in 0..1. TrigFlow (Lu & Song 2024), in which consistency models
are trained, turns x_a = cos(a) data + sin(a) noise, a in 0..pi/2. Both are the same line of noise levels: t = sin a /
(cos a + sin a), and x_t = x_a / (cos a + sin a). The student sees t; no guidance is applied, since it was distilled
with it.

The stochastic sampler is that of rCM: jump to data, go back to the next noise level with fresh noise. Its noise is
counter-based on (seed, step), so it resumes to the same bits. The deterministic sampler is an Euler step of
`flow.advance`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from ..flow import SamplerState, Velocity, initial_state, seeded_noise

RCM_ANGLES = (math.atan(80.0), 1.5, 1.4, 1.0)
"""Where rCM's steps begin, in radians; fewer steps take the first ones."""
_FIRST_NOISE_STREAM = 64
"""Streams of a seed from here on belong to the sampler's steps; the first ones to what picture and sound begin from."""


def flow_time(angle: float) -> float:
    """Returns the rectified-flow noise level of a TrigFlow angle."""
    return math.sin(angle) / (math.cos(angle) + math.sin(angle))


def trig_angle(t: float) -> float:
    """Returns the TrigFlow angle of a rectified-flow noise level."""
    return math.atan2(t, 1 - t)


class TrigScaling(NamedTuple):
    """What makes a rectified-flow network v a TrigFlow one: data = skip x_a + out v(x_a scale_in, t)."""

    skip: float
    out: float
    scale_in: float
    t: float


def trig_scaling(angle: float) -> TrigScaling:
    """Returns the scaling at an angle in radians."""
    norm = math.cos(angle) + math.sin(angle)
    return TrigScaling(1 / norm, -math.sin(angle) / norm, 1 / norm, math.sin(angle) / norm)


def rcm_schedule(steps: int) -> tuple[float, ...]:
    """Returns steps + 1 noise levels: .98765, .93378, .85290, .60898 and 0 for four.

    Raises:
        ValueError: not 1 to 4 steps.
    """
    if not 1 <= steps <= len(RCM_ANGLES):
        raise ValueError(f"the student samples in 1 to {len(RCM_ANGLES)} steps, not {steps}")
    return (*(flow_time(angle) for angle in RCM_ANGLES[:steps]), 0.0)


def start(shape: tuple[int, ...], seed: int, timesteps: tuple[float, ...]) -> SamplerState:
    """Returns noise scaled to the first noise level, where the data's part is left out."""
    state = initial_state(shape, seed, timesteps, "euler")
    return replace(state, latent=state.latent * timesteps[0])


def consistency_step(latent: Tensor, velocity: Tensor, t: float, t_next: float, noise: Tensor) -> Tensor:
    """Returns the latent at `t_next`: the data that the velocity points to, mixed with fresh noise."""
    return (1 - t_next) * (latent - t * velocity) + t_next * noise


def advance_stochastic(state: SamplerState, velocity: Velocity) -> SamplerState:
    """Returns the state after one more step of the stochastic sampler.

    Raises:
        ValueError: the state is finished.
    """
    if state.finished:
        raise ValueError("sampling is finished")
    t, t_next = state.timesteps[state.step : state.step + 2]
    noise = seeded_noise(state.seed, _FIRST_NOISE_STREAM + state.step, tuple(state.latent.shape))
    latent = consistency_step(state.latent, velocity(state.latent, t), t, t_next, noise.to(state.latent.device))
    return replace(state, latent=latent, step=state.step + 1)
