"""Trains the student to do in four plain steps what the guided teacher does along its stored paths.

Run as `python -m triton_models.training.turbo.student --minutes 15`, after or beside `training.turbo.paths`. The
student starts as its teacher, or as `--start` says. The learning rate follows the clock; a stopped run goes on where it
was.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...modeling.dit import VideoDiT
from ...modeling.reference import DIT_FILE, STUDENT_FILE, load_config, save_weights
from ..distil import load_teacher
from ..dit import follow, optimisers
from ..run import RUNS, WEIGHTS, Run
from ..sheet import save_curve
from .objectives import Field
from .paths import Paths, folder_of, frame_levels

_LEARNING_RATE = 6e-4
_WARMUP_STEPS = 20
_SAVE_EVERY_S = 120


def path_loss(student: Field, paths: Paths, step_B: Tensor) -> Tensor:
    """Returns the mean squared error of the velocity at one step of each path.

    It is weighted by how far an error of the step moves the data that the latents point to: (stride / (1 - t))^2 with t
    at the end of the step.
    """
    levels = torch.tensor(paths.timesteps)
    weight_B = ((levels[:-1] - levels[1:]) / (1 - levels[1:]))[step_B].square()
    latents, goal = paths.at(step_B)
    velocity = student(latents, frame_levels(levels[step_B], latents.shape[1], paths.held), paths.text)
    error_B = (velocity - goal)[:, paths.held :].square().flatten(1).mean(1)
    return (weight_B * error_B).mean()


class Library:
    """The stored paths of a teacher, of which more may come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[Path, Paths] = {}

    def look(self) -> None:
        """Reads the files that are new.

        Raises:
            FileNotFoundError: there are none at all.
        """
        for path in sorted(self.folder.glob("*.safetensors")):
            if path not in self.known:
                self.known[path] = Paths.load(path)
        if not self.known:
            raise FileNotFoundError(f"no paths in {self.folder}: run triton_models.training.turbo.paths")

    def batch(self, number: int) -> tuple[Paths, Tensor]:
        """Returns the paths of one file, and a step for each."""
        rng = np.random.default_rng((number, 9))
        paths = list(self.known.values())[int(rng.integers(len(self.known)))]
        steps = rng.permuted(np.arange(len(paths.noise)) % (len(paths.timesteps) - 1))
        return paths, torch.from_numpy(steps)


def learning_rate(step: int, share: float) -> float:
    """Warms up by steps, then falls as a cosine over the time; `share` (0 to 1) has passed."""
    return _LEARNING_RATE * min(1.0, (step + 1) / _WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * share))


def train(start: VideoDiT, library: Library, minutes: float, name: str, out: Path, *, compiled: bool = True) -> None:
    """Trains until `minutes` in all have passed, and writes the averaged student now and then.

    Compiling pays after a minute or two.
    """
    student, average = start, copy.deepcopy(start)
    muon, adam = optimisers(student)
    parts = {"student": student, "average": average, "muon": muon, "adam": adam}
    run = Run.open(name, parts)
    for block in student.blocks if compiled else ():
        block.compile(dynamic=True)
    saved_at = run.elapsed_s
    while (share := run.elapsed_s / (minutes * 60)) < 1:
        if run.step % 20 == 0:
            library.look()
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = learning_rate(run.step, share)
        with torch.autocast("cpu", torch.bfloat16):
            loss = path_loss(student, *library.batch(run.step))
        student.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        muon.step()  # type: ignore[no-untyped-call]
        adam.step()
        follow(average, student, run.step)
        run.record(loss.item())
        if run.elapsed_s - saved_at > _SAVE_EVERY_S:
            run.save(parts)
            save_weights(average, out)
            saved_at = run.elapsed_s
    run.save(parts)
    save_weights(average, out)
    save_curve(run.losses, out.with_name("student_loss.png"))
    print(f"{run.cost()}, {len(library.known)} files of paths")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS / DIT_FILE, help="the teacher")
    parser.add_argument("--start", type=Path, help="weights to start from; the teacher's if not given")
    parser.add_argument("--out", type=Path, default=RUNS / STUDENT_FILE)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config, folder = load_config(WEIGHTS), folder_of(chosen.weights)
    start = load_teacher(config, chosen.start or chosen.weights)
    train(start, Library(folder), chosen.minutes, f"student_{folder.name.removeprefix('paths_')}", chosen.out)


if __name__ == "__main__":
    main()
