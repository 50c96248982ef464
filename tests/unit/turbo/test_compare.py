from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.weights import write_random_weights
from triton_models.modeling.reference import DIT_FILE, STUDENT_FILE, ReferenceModel, load_reference
from triton_models.modeling.turbo.int8 import Int8Linear
from triton_models.modeling.turbo.student import with_student
from triton_models.training.evaluate import SHOWN, Settings
from triton_models.training.turbo import compare


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    write_random_weights(directory)
    (directory / STUDENT_FILE).write_bytes((directory / DIT_FILE).read_bytes())
    return directory


def test_students_take_four_plain_steps_and_the_last_row_is_the_full_teacher(weights: Path) -> None:
    teacher = load_reference(weights)
    student = with_student(teacher, weights / STUDENT_FILE)
    rows = {name: (model, settings) for name, model, settings in compare.contestants(teacher, student)}
    tiers = [model.config.tiers[settings.tier] for name, (model, settings) in rows.items() if "student" in name]
    assert len(tiers) == 4
    assert all((tier.student, tier.steps, tier.guidance) == (True, 4, 1.0) for tier in tiers)
    assert list(rows)[-1] == "teacher, 50 guided steps"
    assert rows["teacher, 50 guided steps"][1].steps == 50
    eight_bit = {
        n for n, (m, _) in rows.items() if any(isinstance(x, Int8Linear) for x in (m.student or m.dit).modules())
    }
    assert eight_bit == {"student + W8A8", "student + both"}


def test_a_student_is_another_model_to_checkpoints(weights: Path) -> None:
    teacher = load_reference(weights)
    student = with_student(teacher, weights / STUDENT_FILE)
    assert student.digest != teacher.digest
    assert all(torch.equal(a, b) for a, b in zip(_student(student), teacher.dit.parameters(), strict=True))


def test_the_same_model_ends_nowhere_else(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_NEARNESS_PROMPTS", 1)
    model = load_reference(weights)
    one, four = (
        compare.endings(model, Settings("STANDARD", duration_s=1.0, steps=steps, guidance=1.0)) for steps in (1, 4)
    )
    assert one.shape[0] == len(SHOWN[:1])
    assert compare.distance(one, one) == 0
    assert compare.distance(one, four) > 0


def _student(model: ReferenceModel) -> Iterator[nn.Parameter]:
    return model.transformer(student=True).parameters()
