"""An optional image classifier of the user's own, as an ONNX file.

It runs only when configured, and needs the package `onnxruntime`, which Kinemesh does not install. A JSON file declares
how it is fed and what its outputs mean:

    {"input": "images", "size": 224, "layout": "NCHW", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
     "activation": "softmax", "labels": ["neutral", "porn", "gore"],
     "categories": {"porn": "sexual", "gore": "violence"}}
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from services.safety.domain import CATEGORIES

_RUNTIME = "onnxruntime"


class ClassifierSetupError(RuntimeError):
    """The configured classifier cannot run; the text says why."""


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """How a model is fed and read."""

    input: str
    size: int
    layout: Literal["NCHW", "NHWC"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    activation: Literal["softmax", "sigmoid", "none"]
    labels: tuple[str, ...]
    categories: Mapping[str, str]
    """Category by label; labels that are missing here are harmless."""

    @classmethod
    def load(cls, path: Path) -> LabelMap:
        """Reads the file.

        Raises:
            ClassifierSetupError: It is missing or wrong.
        """
        try:
            loaded = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as exc:
            raise ClassifierSetupError(f"the label map {path.name} cannot be used: {exc}") from exc
        if set(loaded.categories) - set(loaded.labels) or set(loaded.categories.values()) - set(CATEGORIES):
            raise ClassifierSetupError(f"the label map {path.name} names unknown labels or categories")
        return loaded


def check_setup(model: Path, labels: Path) -> str:
    """Makes sure that a configured classifier can run; returns its version.

    Raises:
        ClassifierSetupError: It cannot.
    """
    LabelMap.load(labels)
    if importlib.util.find_spec(_RUNTIME) is None:
        raise ClassifierSetupError("an ONNX classifier is configured, but onnxruntime is not installed: pip install it")
    try:
        return "onnx-" + hashlib.sha256(model.read_bytes()).hexdigest()[:8]
    except OSError as exc:
        raise ClassifierSetupError(f"the ONNX model cannot be read: {exc.strerror}") from exc


class OnnxClassifier:
    """Scores single frames."""

    def __init__(self, model: Path, labels: Path) -> None:
        self._map = LabelMap.load(labels)
        runtime = importlib.import_module(_RUNTIME)
        self._session = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    @property
    def size(self) -> int:
        """Side of the square picture it wants, pixels."""
        return self._map.size

    def score(self, rgb_hw3: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, float]:
        """Returns the highest score of each category for a picture of the wanted size."""
        picture = (rgb_hw3 / 255.0 - np.array(self._map.mean)) / np.array(self._map.std)
        if self._map.layout == "NCHW":
            picture = np.moveaxis(picture, -1, 0)
        outputs = self._session.run(None, {self._map.input: picture[None].astype(np.float32)})
        values = dict(zip(self._map.labels, _activate(np.ravel(outputs[0]), self._map.activation), strict=True))
        scores: dict[str, float] = {}
        for label, category in self._map.categories.items():
            scores[category] = max(scores.get(category, 0.0), float(values[label]))
        return scores


def _activate(outputs: Any, activation: str) -> Any:
    if activation == "softmax":
        powers = np.exp(outputs - outputs.max())
        return powers / powers.sum()
    return 1 / (1 + np.exp(-outputs)) if activation == "sigmoid" else outputs
