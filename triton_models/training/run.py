"""What every training command shares: where a run lives, resuming it, and saying what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

RUNS = Path(".kinemesh/training")
"""Ignored by git; everything in it can be made again."""
WEIGHTS = Path(__file__).parents[1] / "weights" / "reference"


@dataclass
class Run:
    """One training run: its state dictionary on disk, its losses, and the seconds it has taken in all sittings."""

    path: Path
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    _resumed_at: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, name: str, parts: dict[str, Any]) -> Run:
        """Returns the run called `name`; if it has begun, loads its state into `parts` (modules, optimisers)."""
        path = RUNS / f"{name}.pt"
        if not path.exists():
            return cls(path)
        saved = torch.load(path, weights_only=True)
        for key, part in parts.items():
            part.load_state_dict(saved[key])
        print(f"{name}: resumed at step {saved['step']}", flush=True)
        return cls(path, saved["step"], saved["seconds"], saved["losses"])

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds of training, earlier sittings included."""
        return self.seconds + time.monotonic() - self._resumed_at

    def save(self, parts: dict[str, Any]) -> None:
        """Writes the run, so that it can be resumed at the next step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {key: part.state_dict() for key, part in parts.items()}
        state |= {"step": self.step, "seconds": self.elapsed_s, "losses": self.losses}
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.path)

    def record(self, loss: float, every: int = 50) -> None:
        """Counts a step, and prints the mean loss now and then."""
        self.step += 1
        self.losses.append(loss)
        if self.step % every == 0:
            recent = sum(self.losses[-every:]) / every
            print(f"step {self.step} loss {recent:.4f} after {self.elapsed_s:.0f} s", flush=True)

    def cost(self) -> str:
        """Returns one line for the model card."""
        return f"{self.step} steps in {self.elapsed_s:.0f} s on {torch.get_num_threads()} CPU threads"
