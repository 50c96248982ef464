"""Flow matching: noise to data along a learned velocity field (Algorithm 2 of the low-level design).

Convention: t = 1 is noise, t = 0 is data, x_t = (1 - t) data + t noise, v = noise - data, so a step to a lower t is
x - v dt. The state between two steps is explicit and complete: sampling can stop after any step and go on elsewhere
to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Solver = Literal["euler", "heun"]
Velocity = Callable[[Tensor, float], Tensor]
"""(latent, t) to velocity, float32 in the latent's shape."""


def shift_time(t: float, shift: float) -> float:
    """Moves a noise level towards 1, where layout and motion are decided; shift 1 leaves it."""
    return shift * t / (1 + (shift - 1) * t)


def shifted_schedule(steps: int, shift: float) -> tuple[float, ...]:
    """Returns steps + 1 noise levels falling from 1 to 0.

    Raises:
        ValueError: steps is below 1 or shift is not positive.
    """
    if steps < 1 or shift <= 0:
        raise ValueError(f"a schedule needs steps >= 1 and shift > 0, not {steps} and {shift}")
    return tuple(shift_time(1 - index / steps, shift) for index in range(steps + 1))


def seeded_noise(seed: int, stream: int, shape: tuple[int, ...]) -> Tensor:
    """Returns standard normal float32 that depends on (seed, stream) alone, not on any device or earlier draw.

    The counter of Philox starts at `stream`, so streams of one seed do not overlap.
    """
    generator = np.random.Generator(np.random.Philox(key=seed % 2**64, counter=(0, 0, 0, stream)))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


@dataclass(frozen=True)
class SamplerState:
    """Everything needed to go on sampling."""

    latent: Tensor
    """Float32 [B, F, H, W, C] at noise level `timesteps[step]`."""
    step: int
    """Finished steps."""
    timesteps: tuple[float, ...]
    """The whole schedule, one more than there are steps."""
    solver: str
    """What takes the steps: a `Solver` of `advance`, or another family's own."""
    seed: int
    """Of the initial noise."""
    carried: Mapping[str, Tensor] = field(default_factory=dict)
    """What else the next step needs, by name: the latents of a second modality, or what a solver remembers."""

    @property
    def total_steps(self) -> int:
        """Steps of the schedule."""
        return len(self.timesteps) - 1

    @property
    def sigma(self) -> float:
        """The current noise level."""
        return self.timesteps[self.step]

    @property
    def finished(self) -> bool:
        """Whether the latent is data."""
        return self.step == self.total_steps


def initial_state(shape: tuple[int, ...], seed: int, timesteps: tuple[float, ...], solver: Solver) -> SamplerState:
    """Returns pure noise before the first step."""
    return SamplerState(seeded_noise(seed, 0, shape), 0, timesteps, solver, seed)


def noised_state(
    source: Tensor,
    strength: float,
    seed: int,
    timesteps: tuple[float, ...],
    solver: Solver,
    steps: int | None = None,
) -> SamplerState:
    """Returns `source` with noise of the level `strength`, before `steps` steps along the rest of the schedule's curve.

    Sampling from there keeps what that much noise has not hidden: the layout at low strength, hardly a colour near 1.
    By default that share of the schedule's steps is taken.

    Raises:
        ValueError: strength is not above 0 and at most 1, or there is no step.
    """
    steps = max(1, round(strength * (len(timesteps) - 1))) if steps is None else steps
    if not 0 < strength <= 1 or steps < 1:
        raise ValueError(f"strength {strength} is not above 0 and at most 1, or {steps} are no steps")
    left = _rest_of(timesteps, strength, steps)
    noise = seeded_noise(seed, 0, tuple(source.shape))
    return SamplerState(torch.lerp(source, noise, left[0]), 0, left, solver, seed)


def _rest_of(timesteps: tuple[float, ...], begin: float, steps: int) -> tuple[float, ...]:
    """Returns steps + 1 levels from `begin` to the end, spaced as the schedule is there."""
    places = np.arange(len(timesteps))
    place = np.interp(begin, timesteps[::-1], places[::-1])
    return tuple(np.interp(np.linspace(place, places[-1], steps + 1), places, timesteps).tolist())


def advance(state: SamplerState, velocity: Velocity) -> SamplerState:
    """Returns the state after one more step.

    Heun evaluates twice, and corrects from where the step began; the last step, which ends at t = 0 where the network
    was never trained, is Euler's (2N - 1 evaluations in all).

    Raises:
        ValueError: the state is finished.
    """
    if state.finished:
        raise ValueError("sampling is finished")
    t, t_next = state.timesteps[state.step : state.step + 2]
    v = velocity(state.latent, t)
    if state.solver == "heun" and t_next > 0:
        predicted = state.latent - v * (t - t_next)
        v = 0.5 * (v + velocity(predicted, t_next))
    return replace(state, latent=state.latent - v * (t - t_next), step=state.step + 1)
