"""The table of an evaluation: who takes part, what is kept, what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.weights import write_random_weights
from triton_models.modeling.reference import DIT_FILE, STUDENT_FILE
from triton_models.modeling.turbo.int8 import Int8Linear
from triton_models.modeling.turbo.sparse_linear import SparseSpatialAttention
from triton_models.training import evaluate
from triton_models.training.contestants import Contestant, contestants
from triton_models.training.judges.judge import Judges, Opinion
from triton_models.training.judges.questions import LOOKS, MOVES, targets
from triton_models.training.samples import Settings, held_out
from triton_models.training.table import Share, figure_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    write_random_weights(directory)
    return directory


def test_a_student_takes_part_in_all_its_forms(weights: Path, tmp_path: Path) -> None:
    alone = contestants(weights)
    assert [one.name for one in alone] == ["teacher", "teacher, REALTIME"]
    (tmp_path / STUDENT_FILE).write_bytes((weights / DIT_FILE).read_bytes())
    teacher, undistilled, *others = contestants(weights, tmp_path / STUDENT_FILE)
    assert teacher.settings.tier == undistilled.settings.tier == "STANDARD"
    assert (undistilled.settings.steps, undistilled.settings.guidance) == (4, 1.0)
    assert all(one.model.config.tiers[one.settings.tier].student for one in others)
    parts = {one.name: {type(part) for part in one.model.transformer(student=True).modules()} for one in others}
    assert [name for name, kinds in parts.items() if Int8Linear in kinds] == ["student + W8A8", "all"]
    assert [name for name, kinds in parts.items() if SparseSpatialAttention in kinds] == ["student + SLA", "all"]


def test_a_column_is_measured_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "RUNS", tmp_path)
    monkeypatch.setattr(evaluate, "FILE", weights / DIT_FILE)
    teacher = contestants(weights)[0]
    quick = Contestant("quick", teacher.model, Settings("STANDARD", steps=1, guidance=1.0))
    scenes = held_out(4)
    first = evaluate.column_of(quick, Judges.untrained(), scenes, None)
    monkeypatch.setattr(evaluate, "measured", None)
    again = evaluate.column_of(quick, Judges.untrained(), scenes, None)
    assert np.array_equal(first.opinion.features, again.opinion.features)
    assert first.cpu_s == pytest.approx(again.cpu_s)
    with pytest.raises(TypeError, match="not callable"):
        evaluate.column_of(replace(quick, name="another"), Judges.untrained(), scenes, None)


def test_renders_follow_their_prompts_and_a_model_that_mixes_them_up_does_not() -> None:
    scenes = held_out(40)
    truth = targets(scenes, {**LOOKS, **MOVES})
    features = np.random.default_rng(0).normal(size=(40, 3))
    heard = evaluate.Heard((10.0, -60.0, 20.0), (100.0, -130.0, 0.0), (True, False))
    right = evaluate.Column("teacher", Opinion(truth, features), 1.0, heard)
    mixed = Opinion({name: torch.roll(value, 1, 0) for name, value in truth.items()}, features + 2)
    columns = [
        right,
        replace(right, name="autoencoder"),
        replace(right, name="teacher"),
        evaluate.Column("student", mixed),
    ]
    rows = {row.name: row for row in evaluate.rows_of(columns, scenes, Opinion(truth, features))}
    assert rows["all four at once"].cells[2] == Share(20, 20)
    assert (figure_of(rows["all four at once"].cells[3]) or 0) < 0.5
    assert rows["Frechet distance to other renders"].cells[2:] == pytest.approx((0, 12), abs=1e-3)
    assert rows["impacts heard: median offset, ms"].cells == (20.0, 20.0, 20.0, None)
    assert rows["impacts heard within 50 ms"].cells[0] == Share(2, 3)
    assert rows["voice and lips: median offset, ms"].cells[0] == 100.0
    assert rows["voice and lips within 120 ms"].cells[0] == Share(2, 3)
    assert rows["words recognised"].cells == (Share(1, 2),) * 3 + (None,)
    (line,) = evaluate.against_teacher(columns, list(rows.values()))
    assert line.startswith("student: ")
    assert float(line.split()[1][:-1]) < 70
