"""The distilled transformer of a model directory: four steps, no guidance, otherwise the same model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load

from ..dit import VideoDiT
from ..reference import ReferenceModel, TierDefaults

STUDENT_TIER = "REALTIME"
TEACHER_TIER = "STANDARD"
"""Whose guidance and shift the student was distilled with."""
STUDENT_STEPS = 4


def with_student(model: ReferenceModel, path: Path) -> ReferenceModel:
    """Returns the model with the student at `path` behind its fastest tier, under a digest of its own.

    Raises:
        OSError: there is no such file.
        RuntimeError: the weights do not fit the configuration.
    """
    blob = path.read_bytes()
    student = VideoDiT(model.config.dit)
    student.load_state_dict(load(blob))
    student.eval().requires_grad_(requires_grad=False)
    tiers = model.config.tiers | {STUDENT_TIER: student_tier(model.config.tiers[TEACHER_TIER].shift)}
    digest = hashlib.sha256(model.digest.encode() + blob).hexdigest()
    return replace(model, config=replace(model.config, tiers=tiers), student=student, digest=digest)


def student_tier(shift: float) -> TierDefaults:
    """Returns how a student samples: Euler steps where its training stepped, without guidance."""
    return TierDefaults(steps=STUDENT_STEPS, solver="euler", guidance=1.0, shift=shift, student=True)
