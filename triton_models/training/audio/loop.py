"""The training loop that all stages share: resumable, with averaged weights, and honest about its cost."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

RUN_FOLDER = Path(".kinemesh/training/audio")
REFERENCE = Path("triton_models/weights/reference")
_WARM_UP_STEPS = 100
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How long and how fast to learn."""

    steps: int
    learning_rate: float
    average: float = 0.998
    """Share of the old moving average kept at each step."""
    file: Path
    """Where the run is saved and resumed from."""
    muon: str | None = None
    """Prefix of the layers whose matrices Muon learns, at AdamW's step size; AdamW learns all else."""


def stage_parser(description: str, steps: int, learning_rate: float) -> argparse.ArgumentParser:
    """The options every stage has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--threads", type=int, default=1, help="more only help on an idle machine")
    parser.add_argument("--run", type=Path, default=RUN_FOLDER, help="folder of data and checkpoints")
    parser.add_argument("--from-weights", action="store_true", help="begin with the shipped network, not from nothing")
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Reads the options and makes the run repeatable."""
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    return given


def fit(network: nn.Module, loss_at: Callable[[int], Tensor], settings: LoopSettings) -> None:
    """Train from the saved step to the last, and leave the averaged weights in `network`.

    `loss_at(step)` must draw its batch from the step alone: then a resumed run sees the same data.
    """
    optimiser = _optimiser(network, settings)
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    step, spent_s = _resume(network, optimiser, average, settings.file)
    started = saved = time.monotonic()
    losses: list[float] = []
    while step < settings.steps:
        losses.append(_update(network, optimiser, loss_at(step), _rate(step, settings)))
        step += 1
        _follow(average, network, min(settings.average, step / (step + 10)))
        now = time.monotonic()
        if now - saved > _SAVE_EVERY_S or step == settings.steps:
            saved = now
            _save(network, optimiser, average, settings.file, step, spent_s + now - started)
            _report(step, settings.steps, losses, spent_s + now - started)
    network.load_state_dict(average)


class _Both:
    """Two optimisers as one."""

    def __init__(self, first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        self._both = (first, second)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for each in self._both for group in each.param_groups]

    def zero_grad(self, *, set_to_none: bool) -> None:
        for each in self._both:
            each.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        for each in self._both:
            each.step()

    def state_dict(self) -> dict[str, Any]:
        return {"first": self._both[0].state_dict(), "second": self._both[1].state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._both[0].load_state_dict(state["first"])
        self._both[1].load_state_dict(state["second"])


_Optimiser = torch.optim.Optimizer | _Both


def _optimiser(network: nn.Module, settings: LoopSettings) -> _Optimiser:
    def adam(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)

    if settings.muon is None:
        return adam(list(network.parameters()))
    named = dict(network.named_parameters())
    inner = [name for name in named if name.startswith(settings.muon) and name.endswith("weight")]
    matrices = [named.pop(name) for name in inner if named[name].ndim == 2]
    others = list(named.values())
    muon = torch.optim.Muon(matrices, settings.learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    return _Both(muon, adam(others))


def _update(network: nn.Module, optimiser: _Optimiser, loss: Tensor, rate: float) -> float:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return loss.item()


def _rate(step: int, settings: LoopSettings) -> float:
    warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return settings.learning_rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * step / settings.steps)) / 2)


@torch.no_grad()
def _follow(average: dict[str, Tensor], network: nn.Module, keep: float) -> None:
    for name, tensor in network.state_dict().items():
        average[name].lerp_(tensor, 1 - keep)


def _save(
    network: nn.Module,
    optimiser: _Optimiser,
    average: dict[str, Tensor],
    file: Path,
    step: int,
    spent: float,
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average,
        "step": step, "spent_s": spent,
    }  # fmt: skip
    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(file)


def _resume(network: nn.Module, optimiser: _Optimiser, average: dict[str, Tensor], file: Path) -> tuple[int, float]:
    if not file.exists():
        return 0, 0.0
    state: dict[str, Any] = torch.load(file, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    for name, tensor in state["average"].items():
        average[name].copy_(tensor)
    return state["step"], state["spent_s"]


def _report(step: int, steps: int, losses: list[float], spent_s: float) -> None:
    recent = losses[-200:]
    print(f"step {step}/{steps}  loss {sum(recent) / len(recent):.4f}  {spent_s:.0f} s", flush=True)


def averaged(file: Path) -> dict[str, Tensor]:
    """The averaged weights of a saved run.

    Raises:
        OSError: there is no such run.
    """
    state: dict[str, Any] = torch.load(file, weights_only=True)
    weights: dict[str, Tensor] = state["average"]
    return weights
