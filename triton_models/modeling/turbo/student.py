"""The distilled transformer of a model directory: four steps, no guidance, otherwise the same model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load

from ..dit import VideoDiT
from ..flow import shifted_schedule
from ..pipeline import GenerationPlan
from ..reference import ReferenceModel

STUDENT_FILE = "video_dit_student.safetensors"
STUDENT_STEPS = 4


def load_student(model: ReferenceModel, path: Path) -> ReferenceModel:
    """Returns the model with the student at `path` in the place of its transformer, under a digest of its own.

    Raises:
        OSError: there is no such file.
        RuntimeError: the weights do not fit the configuration.
    """
    blob = path.read_bytes()
    student = VideoDiT(model.config.dit)
    student.load_state_dict(load(blob))
    student.eval().requires_grad_(requires_grad=False)
    return replace(model, dit=student, digest=hashlib.sha256(model.digest.encode() + blob).hexdigest())


def student_plan(plan: GenerationPlan, shift: float, steps: int = STUDENT_STEPS) -> GenerationPlan:
    """Returns the plan as the student samples it: `steps` Euler steps where its training stepped, without guidance."""
    return replace(plan, timesteps=shifted_schedule(steps, shift), solver="euler", guidance=1.0)
