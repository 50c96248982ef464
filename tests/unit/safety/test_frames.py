"""The chain of frame checks."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.common.sandbox_child import RefusedMediaError
from services.safety.frames.check import check, run
from services.safety.frames.onnx import ClassifierSetupError, OnnxClassifier, check_setup
from services.safety.frames.request import FrameCheckRequest
from services.safety.frames.sampling import Sampler
from tests.support.media import moving_scene, write_mezzanine

LABELS: dict[str, Any] = {
    "input": "images",
    "size": 4,
    "layout": "NCHW",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "activation": "softmax",
    "labels": ["neutral", "porn", "gore"],
    "categories": {"porn": "sexual", "gore": "violence"},
}


class FakeSession:
    """Calls bright pictures gore."""

    def __init__(self, path: str, providers: list[str]) -> None:
        assert Path(path).exists()

    def run(self, outputs: None, inputs: dict[str, Any]) -> list[Any]:
        picture = inputs["images"]
        assert picture.shape == (1, 3, 4, 4)
        assert picture.dtype == np.float32
        return [np.array([[0.0, -9.0, 9.0 * picture.mean()]])]


@pytest.fixture
def classifier_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A model and its label map, with a stand-in for the runtime that is not installed."""
    runtime: Any = types.ModuleType("onnxruntime")
    runtime.InferenceSession = FakeSession
    runtime.__spec__ = types.SimpleNamespace(name="onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    model, labels = tmp_path / "model.onnx", tmp_path / "labels.json"
    model.write_bytes(b"model")
    labels.write_text(json.dumps(LABELS))
    return model, labels


def request(path: Path, **changes: Any) -> FrameCheckRequest:
    values: dict[str, Any] = {"sample_interval_s": 0.5, "onnx_model": None, "onnx_labels": None}
    return FrameCheckRequest(video=str(path), **(values | changes))


def test_a_calm_clip_scores_nothing(tmp_path: Path) -> None:
    write_mezzanine(tmp_path / "m.mkv", moving_scene(36), 12)
    assert check(request(tmp_path / "m.mkv")) == {"scores": {"photosensitivity": 0.0}, "frames": 36}


def test_a_flashing_clip_scores(tmp_path: Path) -> None:
    black, white = np.zeros((64, 112, 3), np.uint8), np.full((64, 112, 3), 255, np.uint8)
    write_mezzanine(tmp_path / "m.mkv", [black, white] * 12, 12)
    found = run({"video": str(tmp_path / "m.mkv"), "sample_interval_s": 1.0, "onnx_model": None, "onnx_labels": None})
    assert found["scores"]["photosensitivity"] == 1.0


def test_one_frame_in_a_calm_clip_is_found_by_its_cut(classifier_files: tuple[Path, Path], tmp_path: Path) -> None:
    dark = np.zeros((64, 112, 3), np.uint8)
    bright = np.full((64, 112, 3), 255, np.uint8)
    write_mezzanine(tmp_path / "m.mkv", [dark] * 17 + [bright] + [dark] * 30, 12)
    model, labels = (str(path) for path in classifier_files)
    found = check(request(tmp_path / "m.mkv", onnx_model=model, onnx_labels=labels, sample_interval_s=10.0))
    assert found["scores"]["violence"] > 0.99
    assert found["scores"]["sexual"] < 0.01


def test_files_that_are_no_mezzanine_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mkv").write_bytes(b"nothing")
    with pytest.raises((RefusedMediaError, ValueError)):
        check(request(tmp_path / "x.mkv"))


def test_sampling_is_regular_and_at_cuts() -> None:
    sampler = Sampler(0.5)
    dark, bright = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    frames = [dark] * 10 + [bright] * 10
    wanted = [index for index, frame in enumerate(frames) if sampler.wants(index / 10, frame)]
    assert wanted == [0, 5, 10, 15]


def test_a_classifier_without_its_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    with pytest.raises(ClassifierSetupError, match="onnxruntime is not installed"):
        check_setup(tmp_path / "model.onnx", tmp_path / "labels.json")


def test_a_complete_classifier_has_a_version(classifier_files: tuple[Path, Path]) -> None:
    assert check_setup(*classifier_files).startswith("onnx-")
    assert OnnxClassifier(*classifier_files).size == 4


@pytest.mark.parametrize("change", [{"categories": {"porn": "fun"}}, {"categories": {"x": "sexual"}}, {"surprise": 1}])
def test_a_wrong_label_map_is_refused(classifier_files: tuple[Path, Path], change: dict[str, Any]) -> None:
    model, labels = classifier_files
    labels.write_text(json.dumps(LABELS | change))
    with pytest.raises(ClassifierSetupError, match="label map"):
        check_setup(model, labels)
