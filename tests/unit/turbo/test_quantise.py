"""The quantised student: calibrated on its own clips, and near to what it was."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from tests.support.weights import write_random_weights
from triton_models.modeling.reference import DIT_FILE, STUDENT_FILE, ReferenceModel, load_reference
from triton_models.modeling.turbo.int8 import Int8Linear, in_blocks, load_quantised
from triton_models.modeling.turbo.student import with_student
from triton_models.training.samples import held_out
from triton_models.training.turbo import quantise
from triton_models.training.turbo.quantise import departure, quantised, student_peaks


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights")
    write_random_weights(directory)
    (directory / STUDENT_FILE).write_bytes((directory / DIT_FILE).read_bytes())
    return directory


@pytest.fixture(scope="module")
def model(weights: Path) -> ReferenceModel:
    return with_student(load_reference(weights), weights / STUDENT_FILE)


def test_layers_that_become_integers_are_calibrated(model: ReferenceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "CALIBRATION_CLIPS", 1)
    student = model.transformer(student=True)
    peaks = student_peaks(model)
    layers = {name for name, layer in student.named_modules() if isinstance(layer, torch.nn.Linear) and in_blocks(name)}
    assert peaks.keys() == layers
    assert all(peak.max() > 0 for peak in peaks.values())


def test_a_quantised_student_departs_a_little_and_another_student_far(model: ReferenceModel) -> None:
    student = model.transformer(student=True)
    scenes = held_out(4)[:1]
    assert departure(model, student, scenes) == 0
    assert 0 < departure(model, quantised(student), scenes) < 0.05
    wild = copy.deepcopy(student)
    torch.nn.init.normal_(wild.patch_out.weight)
    assert departure(model, wild, scenes) > 0.5


def test_the_command_writes_integers_that_load_again(
    weights: Path, model: ReferenceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "int8.safetensors"
    monkeypatch.setattr(quantise, "CALIBRATION_CLIPS", 1)
    monkeypatch.setattr("sys.argv", ["quantise", "--weights", str(weights), "--out", str(out), "--clips", "4"])
    quantise.main()
    assert "without calibration" in capsys.readouterr().out
    again = copy.deepcopy(model.transformer(student=True))
    load_quantised(again, out)
    assert sum(isinstance(layer, Int8Linear) for layer in again.modules()) == 66
    assert departure(model, again, held_out(4)[:1]) < 0.1
