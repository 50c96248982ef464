"""What a distilled student learns from: where its teacher's steps lead, or its own answer a little further on.

Schedules here are continuous: u runs from 0 (noise) to 1 (data), N steps are N strides of 1/N in u, and the noise
level is t(u) with the schedule's shift. A student is trained at any u, so that a later stage may step from anywhere.

Two terms of the low-level design are left out. A perceptual loss needs a network that knows images; the only one at
hand is the teacher itself, whose velocity is matched already. An adversarial loss did not fit the budget of a CPU: a
discriminator costs as much as the student, and at this size the regression of a deterministic path is not the blur
that it is meant to cure.

Legend: B batch, F frames, H/W height and width, C channels; all latents are [B, F, H, W, C].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ...modeling.dit import Text, VideoDiT
from ...modeling.guidance import pad_text

Field = Callable[[Tensor, Tensor, Text], Tensor]
"""(latents [B, F, …], noise levels [B] or [B, F], text) to velocities."""


class Batch(NamedTuple):
    """Clips to learn from."""

    data: Tensor
    noise: Tensor
    text: Text


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One halving: the student does in one of its steps what the teacher does in a few."""

    teacher_steps: int
    student_steps: int
    shift: float
    on_grid: bool = False
    """Train only where sampling will step from; for the last stage, whose student teaches nobody."""


def stages(ladder: tuple[int, ...], shift: float) -> list[Stage]:
    """Returns the stages between the numbers of steps, e.g. 50, 25, 12, 6, 4.

    Raises:
        ValueError: the numbers do not fall.
    """
    pairs = list(pairwise(ladder))
    if not pairs or any(after >= before for before, after in pairs):
        raise ValueError(f"steps of a ladder must fall, not {ladder}")
    last = len(pairs) - 1
    return [
        Stage(teacher_steps=before, student_steps=after, shift=shift, on_grid=index == last)
        for index, (before, after) in enumerate(pairs)
    ]


def noise_level(u_B: Tensor, shift: float) -> Tensor:
    """Returns t(u), from 1 at u = 0 to 0 at u = 1."""
    left = 1 - u_B
    return shift * left / (1 + (shift - 1) * left)


def guided_field(dit: VideoDiT, scale: float) -> Field:
    """Returns the teacher's velocity with classifier-free guidance, both halves in one batch."""

    def field(latents: Tensor, t: Tensor, text: Text) -> Tensor:
        size, tokens = text.mask_BK.shape
        tokens = max(tokens, dit.null_text_KD.shape[0])
        told, null = pad_text(text, tokens), dit.null_text(size, tokens)
        both = Text(torch.cat((told.embeddings_BKD, null.embeddings_BKD)), torch.cat((told.mask_BK, null.mask_BK)))
        conditional, unconditional = dit(latents.repeat(2, 1, 1, 1, 1), torch.cat((t, t)), both).chunk(2)
        guided: Tensor = unconditional + scale * (conditional - unconditional)
        return guided

    return field


def _each(values_B: Tensor) -> Tensor:
    return values_B[:, None, None, None, None]


def mixed(batch: Batch, t_B: Tensor) -> Tensor:
    """Returns the clips at noise levels `t_B`."""
    return torch.lerp(batch.data, batch.noise, _each(t_B))


@torch.no_grad()
def teacher_path(teacher: Field, latents: Tensor, u_B: Tensor, stage: Stage, text: Text) -> tuple[Tensor, Tensor]:
    """Follows the teacher's strides from u for one stride of the student, cutting the last one short.

    Returns the latents there and their noise levels [B]; no stride goes past u = 1.
    """
    goal_B = (u_B + 1 / stage.student_steps).clamp_max(1)
    for _ in range(math.ceil(stage.teacher_steps / stage.student_steps)):
        next_B = torch.minimum(u_B + 1 / stage.teacher_steps, goal_B)
        t_B, t_next_B = noise_level(u_B, stage.shift), noise_level(next_B, stage.shift)
        latents = latents - _each(t_B - t_next_B) * teacher(latents, t_B, text)
        u_B = next_B
    return latents, noise_level(u_B, stage.shift)


def progressive_loss(student: Field, teacher: Field, batch: Batch, stage: Stage, generator: torch.Generator) -> Tensor:
    """Progressive distillation (Salimans & Ho 2022): one step of the student ends where the teacher's few do."""
    size = len(batch.data)
    u_B = torch.rand(size, generator=generator)
    u_B = (u_B * stage.student_steps).floor() / stage.student_steps if stage.on_grid else u_B
    t_B = noise_level(u_B, stage.shift)
    latents = mixed(batch, t_B)
    end, t_end_B = teacher_path(teacher, latents, u_B, stage, batch.text)
    target = (latents - end) / _each((t_B - t_end_B).clamp_min(1e-4))
    return (student(latents, t_B, batch.text) - target).square().mean()


def consistency_loss(
    student: Field, follower: Field, teacher: Field, batch: Batch, steps: int, shift: float, generator: torch.Generator
) -> Tensor:
    """Discrete consistency distillation (dCM, as in rCM): the same data from a point and from one teacher step further.

    A teacher step in TrigFlow is a rotation, which in rectified flow is an Euler step. `follower` gives the target: the
    student itself or its running average.
    """
    stage = Stage(teacher_steps=steps, student_steps=steps, shift=shift)
    u_B = torch.rand(len(batch.data), generator=generator) * (1 - 1 / steps)
    t_B = noise_level(u_B, shift)
    latents = mixed(batch, t_B)
    further, t_next_B = teacher_path(teacher, latents, u_B, stage, batch.text)
    with torch.no_grad():
        target = further - _each(t_next_B) * follower(further, t_next_B, batch.text)
    data = latents - _each(t_B) * student(latents, t_B, batch.text)
    return (data - target).square().mean()
