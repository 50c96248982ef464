"""Compares the student and its accelerated forms with its teacher: prompts followed, how near the same noise ends.

Run as `python -m triton_models.training.turbo.compare --student PATH`. Prompts, seeds and rules are those of
`training.evaluate`; the first row is what four steps give without distillation.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...modeling.dit import VideoDiT
from ...modeling.pipeline import plan_generation, sample, start
from ...modeling.reference import ReferenceModel, load_reference
from ...modeling.turbo.int8 import quantise
from ...modeling.turbo.sparse_linear import SparseLinearConfig, sparsify
from ...modeling.turbo.student import STUDENT_STEPS, STUDENT_TIER, TEACHER_TIER, with_student
from ..evaluate import SHOWN, Settings, follow_prompts, generate
from ..run import RUNS, WEIGHTS
from ..sheet import save_sheet

_NEARNESS_PROMPTS = 8


def quantised(dit: VideoDiT) -> VideoDiT:
    """Returns a copy with 8-bit linear layers."""
    changed = copy.deepcopy(dit)
    quantise(changed)
    return changed


def contestants(teacher: ReferenceModel, student: ReferenceModel) -> Iterator[tuple[str, ReferenceModel, Settings]]:
    """Yields each model with a name and how it samples; the last, the full teacher, is what all are compared with."""
    guided, plain = Settings(TEACHER_TIER, steps=STUDENT_STEPS), Settings(STUDENT_TIER)
    few = student.transformer(student=True)
    sparse = sparsify(copy.deepcopy(few), SparseLinearConfig())
    yield "teacher, 4 guided steps", teacher, guided
    yield "student", student, plain
    yield "student + SLA", replace(student, student=sparse), plain
    yield "student + W8A8", replace(student, student=quantised(few)), plain
    yield "student + both", replace(student, student=quantised(sparse)), plain
    yield "teacher, 50 guided steps", teacher, Settings(TEACHER_TIER, steps=50)


def endings(model: ReferenceModel, settings: Settings) -> Tensor:
    """Returns the latents that a few prompts end at, from the same noise for every model."""
    plan = plan_generation(
        model.config,
        tier=settings.tier,
        aspect_ratio=settings.aspect_ratio,
        duration_s=settings.duration_s,
        steps=settings.steps,
        guidance=settings.guidance,
    )
    latents = []
    for seed, prompt in enumerate(SHOWN[:_NEARNESS_PROMPTS]):
        *_, last = sample(model, plan, start(plan, seed), model.text.encode(prompt))
        latents.append(last.latent)
    return torch.cat(latents)


def distance(ours: Tensor, goal: Tensor) -> float:
    """Returns the root mean square of the difference over that of the goal."""
    return float((ours - goal).norm() / goal.norm())


def main() -> None:
    """Prints one row a contestant and draws the student's sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    teacher = load_reference(arguments.weights)
    student = with_student(teacher, arguments.student)
    rows = list(contestants(teacher, student))
    goal = endings(teacher, rows[-1][2])
    for name, model, settings in rows:
        far = distance(endings(model, settings), goal)
        print(f"{name:26} {far:.3f} from the teacher; {follow_prompts(model, arguments.prompts, settings)}", flush=True)
    _, model, settings = rows[1]
    save_sheet([generate(model, prompt, seed, settings) for seed, prompt in enumerate(SHOWN)], RUNS / "student.png")


if __name__ == "__main__":
    main()
