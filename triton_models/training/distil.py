"""Distils the video transformer, with its guidance, from 50 guided steps to 4 plain ones.

Run as `python -m triton_models.training.distil --minutes 40`. The default climbs down the ladder 50, 25, 12, 6, 4 by
progressive distillation: guidance is folded in at the first stage, and each stage's student teaches the next.
`--method consistency` trains one student against its own answers along the guided path. A stopped run goes on where it
was; learning rate and stages follow the clock, so a run ends well in the time it is given.

For little time `training.turbo.student` gives more: it learns the last student at once, along stored paths.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..modeling.dit import Text, VideoDiT
from ..modeling.reference import DIT_FILE, STUDENT_FILE, ReferenceConfig, load_config, save_weights
from ..modeling.turbo.student import TEACHER_TIER
from .dit import Clips, follow, load_text
from .run import RUNS, WEIGHTS, Run
from .turbo.objectives import (
    Batch,
    Field,
    Stage,
    consistency_loss,
    guided_field,
    progressive_loss,
    stages,
)

LADDER = (50, 25, 12, 6, 4)
_CONSISTENCY_STEPS = 48
_LEARNING_RATE = 3e-4
_WARMUP = 0.03
"""Share of a stage's time."""
_LAST_STAGE_WEIGHT = 3.0
"""Of the time, against 1 for each other stage: its student is the one that is shipped."""
_SAVE_EVERY_S = 240

Method = Literal["progressive", "consistency"]


@dataclass
class Position:
    """Where on the ladder a run is, so that a resumed one keeps the teacher it had."""

    stage: int = 0

    def state_dict(self) -> dict[str, int]:
        """Returns what is saved."""
        return {"stage": self.stage}

    def load_state_dict(self, saved: dict[str, int]) -> None:
        """Takes what was saved."""
        self.stage = saved["stage"]


def stage_at(share: float, count: int) -> tuple[int, float]:
    """Returns the stage at a share (0 to 1) of the whole time, and the share of that stage's own time."""
    weights = [1.0] * (count - 1) + [_LAST_STAGE_WEIGHT]
    left = share * sum(weights)
    for index, weight in enumerate(weights[:-1]):
        if left < weight:
            return index, left / weight
        left -= weight
    return count - 1, min(1.0, left / weights[-1])


def learning_rate(share: float) -> float:
    """Warm-up, then a cosine over the share of a stage's time."""
    return _LEARNING_RATE * min(1.0, share / _WARMUP + 0.01) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def in_bfloat16(field: Field) -> Field:
    """Returns the field computed under autocast: twice as fast where nothing is learned."""

    def quick(latents: Tensor, t_B: Tensor, text: Text) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return field(latents, t_B, text)

    return quick


@dataclass
class Distillation:
    """The networks of one run."""

    method: Method
    stages: list[Stage]
    guidance: float
    teacher: VideoDiT
    student: VideoDiT
    average: VideoDiT
    optimiser: torch.optim.Optimizer
    position: Position

    @classmethod
    def of(cls, dit: VideoDiT, config: ReferenceConfig, method: Method, ladder: tuple[int, ...]) -> Distillation:
        """Returns a run that has not begun: student and average are copies of the teacher."""
        tier = config.tiers[TEACHER_TIER]
        ladder = (_CONSISTENCY_STEPS, 1) if method == "consistency" else ladder
        student = copy.deepcopy(dit)
        optimiser = torch.optim.AdamW(student.parameters(), _LEARNING_RATE, betas=(0.9, 0.98), fused=True)
        return cls(
            method, stages(ladder, tier.shift), tier.guidance, dit, student, copy.deepcopy(dit), optimiser, Position()
        )

    def parts(self) -> dict[str, object]:
        """What a run saves."""
        networks = {"teacher": self.teacher, "student": self.student, "average": self.average}
        return networks | {"optimiser": self.optimiser, "position": self.position}

    def climb(self, stage: int) -> None:
        """Makes the average student the teacher, and starts from it, until at `stage`."""
        while self.position.stage < stage:
            self.teacher.load_state_dict(self.average.state_dict())
            self.student.load_state_dict(self.average.state_dict())
            self.optimiser.state.clear()
            self.position.stage += 1

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Returns the loss of the current stage."""
        stage = self.stages[self.position.stage]
        guided = self.position.stage == 0
        teacher = in_bfloat16(guided_field(self.teacher, self.guidance) if guided else self.teacher)
        if self.method == "progressive":
            return progressive_loss(self.student, teacher, batch, stage, generator)
        return consistency_loss(
            self.student, in_bfloat16(self.student), teacher, batch, stage.teacher_steps, stage.shift, generator
        )

    def step(self, batch: Batch, rate: float, generator: torch.Generator, number: int) -> float:
        """Learns from one batch and returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss(batch, generator)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        follow(self.average, self.student, number)
        return loss.item()


def load_teacher(config: ReferenceConfig, weights: Path) -> VideoDiT:
    """Returns the trained transformer."""
    dit = VideoDiT(config.dit)
    dit.load_state_dict(load_file(weights))
    return dit


def run_name(method: Method, weights: Path) -> str:
    """Returns a name that another teacher's run does not have: what was learned from one is not gone on with."""
    return f"distil_{method}_{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}"


def draw(clips: Clips, step: int, longest: int, generator: torch.Generator) -> Batch:
    """Returns a batch of clips with noise and freshly worded captions."""
    data, text = clips.batch(step, longest)
    return Batch(data, torch.randn(data.shape, generator=generator), text)


def train(method: Method, minutes: float, ladder: tuple[int, ...], weights: Path, longest: int) -> None:
    """Distils until `minutes` in all have passed, and writes the student's weights now and then."""
    config = load_config(WEIGHTS)
    clips = Clips(load_text(config))
    run_parts = Distillation.of(load_teacher(config, weights), config, method, ladder)
    parts = run_parts.parts()
    run = Run.open(run_name(method, weights), parts)
    saved_at = run.elapsed_s
    while run.elapsed_s < minutes * 60:
        stage, share = stage_at(run.elapsed_s / (minutes * 60), len(run_parts.stages))
        run_parts.climb(stage)
        generator = torch.Generator().manual_seed(run.step)
        batch = draw(clips, run.step, longest, generator)
        run.record(run_parts.step(batch, learning_rate(share), generator, run.step))
        if run.elapsed_s - saved_at > _SAVE_EVERY_S:
            run.save(parts)
            save_weights(run_parts.average, RUNS / STUDENT_FILE)
            saved_at = run.elapsed_s
    run.save(parts)
    save_weights(run_parts.average, RUNS / STUDENT_FILE)
    print(run.cost())


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=get_args(Method), default="progressive")
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--ladder", type=int, nargs="+", default=LADDER, help="steps of teacher and students")
    parser.add_argument("--weights", type=Path, default=WEIGHTS / DIT_FILE, help="the teacher")
    parser.add_argument("--longest", type=int, default=16, help="latent frames of a clip at most")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    train(arguments.method, arguments.minutes, tuple(arguments.ladder), arguments.weights, arguments.longest)


if __name__ == "__main__":
    main()
