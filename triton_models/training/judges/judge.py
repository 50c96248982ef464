"""The trained judges: what they say of clips, and where they place clips in their own space of features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..run import RUNS
from ..world.scene import Scene
from .network import Looker, View, Watcher
from .questions import LOOKS, MOVES, answer

FILE = RUNS / "judges.safetensors"
FEATURES = 24
_BATCH = 32


@dataclass(frozen=True)
class Opinion:
    """What the judges make of a set of clips."""

    scores: dict[str, Tensor]
    """Float [B, choices] for each question."""
    features: NDArray[np.float64]
    """[B, FEATURES]"""

    def save(self, path: Path, **figures: Tensor) -> None:
        """Writes it, and what else was measured of the clips."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"scores.{name}": value.contiguous() for name, value in self.scores.items()}
        save_file(tensors | {"features": torch.from_numpy(self.features)} | figures, path)

    @classmethod
    def load(cls, path: Path) -> tuple[Opinion, dict[str, Tensor]]:
        """Reads what `save` wrote."""
        saved = load_file(path)
        scores = {name.removeprefix("scores."): saved.pop(name) for name in list(saved) if name.startswith("scores.")}
        return cls(scores, saved.pop("features").numpy()), saved

    def says(self, index: int, question: str, count: int) -> frozenset[str]:
        """Returns the `count` likeliest answers for one clip."""
        choices = {**LOOKS, **MOVES}[question]
        return frozenset(choices[place] for place in self.scores[question][index].topk(count).indices.tolist())

    def right(self, index: int, scene: Scene, question: str) -> bool | None:
        """Tells whether the clip shows what the scene has, or None where the question does not apply."""
        true = answer(scene, question)
        return self.says(index, question, len(true)) == true if true else None


@dataclass(frozen=True)
class Judges:
    """Both networks, in evaluation mode, and the directions of their features that are compared."""

    looker: Looker
    watcher: Watcher
    mean: Tensor
    basis: Tensor
    """[FEATURES, widths of both networks]: principal components over rendered clips."""

    @torch.inference_mode()
    def opinion(self, views: View) -> Opinion:
        """Judges clips."""
        rows = torch.split(torch.arange(len(views.ground)), _BATCH)
        parts = [self._part(views[part]) for part in rows]
        scores = {question: torch.cat([part[0][question] for part in parts]) for question in parts[0][0]}
        features = (torch.cat([part[1] for part in parts]) - self.mean) @ self.basis.T
        return Opinion(scores, features.double().numpy())

    def _part(self, views: View) -> tuple[dict[str, Tensor], Tensor]:
        looked = self.looker.features(views.frames, views.ground)
        watched = self.watcher.features(views.course, views.course_ground)
        # The frames vote with their log-probabilities: one in which the object is hidden has little to say.
        looks = {question: scores.log_softmax(-1).mean(1) for question, scores in self.looker.heads(looked).items()}
        return looks | self.watcher.heads(watched), torch.cat((looked.mean(1), watched), 1)

    def save(self, path: Path = FILE) -> None:
        """Writes them."""
        tensors = {f"looker.{name}": value for name, value in self.looker.state_dict().items()}
        tensors |= {f"watcher.{name}": value for name, value in self.watcher.state_dict().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in tensors.items()} | self._directions(), path)

    def _directions(self) -> dict[str, Tensor]:
        return {"mean": self.mean.contiguous(), "basis": self.basis.contiguous()}

    @classmethod
    def untrained(cls) -> Judges:
        """Returns judges that know nothing yet."""
        width = Looker.width + Watcher.width
        return cls(Looker().eval(), Watcher().eval(), torch.zeros(width), torch.eye(width)[:FEATURES])

    @classmethod
    def load(cls, path: Path = FILE) -> Judges:
        """Reads what `save` wrote.

        Raises:
            OSError: there is no such file.
        """
        saved = load_file(path)
        judges = cls.untrained()
        for name, network in (("looker.", judges.looker), ("watcher.", judges.watcher)):
            network.load_state_dict({k.removeprefix(name): v for k, v in saved.items() if k.startswith(name)})
        return cls(judges.looker, judges.watcher, saved["mean"], saved["basis"])
