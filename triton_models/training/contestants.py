"""The models that an evaluation compares: the teacher, its student, and the student's accelerated forms."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

from ..modeling.reference import STUDENT_FILE, ReferenceModel, load_reference
from ..modeling.turbo.sparse_linear import SparseLinearConfig, sparsify
from ..modeling.turbo.student import STUDENT_STEPS, STUDENT_TIER, TEACHER_TIER, with_student
from .samples import Settings
from .turbo.quantise import quantised

SPARSE = SparseLinearConfig(keep_ratio=0.5, query_block=4, key_block=4, dense_below=0)
"""Forces sparse attention on frames of 28 tokens, which are dense in use: four of seven blocks are kept."""


@dataclass(frozen=True)
class Contestant:
    """A model and how it samples."""

    name: str
    model: ReferenceModel
    settings: Settings


def contestants(weights: Path, student: Path | None = None) -> list[Contestant]:
    """Returns the models in a directory; the student may be another file. Without one there is the teacher alone.

    What four steps give without distillation stands beside what they give with it.

    Raises:
        OSError: a file is missing.
    """
    model = load_reference(weights)
    teacher = Contestant("teacher", model, Settings(TEACHER_TIER))
    path = student or weights / STUDENT_FILE
    if not path.exists():
        return [teacher, Contestant("teacher, REALTIME", model, Settings(STUDENT_TIER))]
    fast = with_student(model, path)
    dit = fast.transformer(student=True)
    sparse = sparsify(copy.deepcopy(dit), SPARSE)
    forms = {"student": dit, "student + SLA": sparse, "student + W8A8": quantised(dit), "all": quantised(sparse)}
    few = Settings(STUDENT_TIER)
    undistilled = Contestant("teacher, 4 plain steps", model, Settings(TEACHER_TIER, steps=STUDENT_STEPS, guidance=1.0))
    return [teacher, undistilled, *(Contestant(name, replace(fast, student=form), few) for name, form in forms.items())]
