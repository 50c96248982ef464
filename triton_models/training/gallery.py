"""Draws sheets of the source's example prompts and of others: `python -m triton_models.training.gallery`.

They go into the model directory: the teacher above the student, frames of one clip from left to right, one seed each,
none picked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .contestants import Contestant, contestants
from .run import WEIGHTS
from .samples import generate
from .sheet import save_captioned

EXAMPLES = (
    "A serene lake at sunset with mountains in the background",
    "A serene lake",
)
"""Prompts of the low-level design."""
OTHERS = (
    "a red ball bouncing on green grass",
    "a blue square moving left",
    "a yellow star orbiting on a black background",
    "a big green triangle growing",
    "an orange ball falling on sand",
    "a red ball and a blue square moving right",
    "a purple star bouncing next to a white ball",
    'a woman says "hello"',
    "ocean waves at sunset",
    "heavy rain over a city at night",
    "a forest in falling snow",
    "a desert at noon, the camera pans across",
    "a meadow in the fog at sunrise",
    "a starry night sky above mountains",
)
_SHOWN = ("teacher", "student", "teacher, REALTIME")
"""Names of the contestants that are drawn."""


def drawn(models: list[Contestant], prompts: tuple[str, ...]) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Returns each prompt with the clip that each model makes of it; the seed is the prompt's place in the list."""
    return [
        (prompt, [generate(one.model, prompt, seed, one.settings) for one in models])
        for seed, prompt in enumerate(prompts)
    ]


def main() -> None:
    """Writes both sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--student", type=Path, help="a student other than the one in the model directory")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    models = [one for one in contestants(chosen.weights, chosen.student) if one.name in _SHOWN]
    for name, prompts in (("examples", EXAMPLES), ("samples", OTHERS)):
        save_captioned(drawn(models, prompts), chosen.out / f"{name}.jpg")
    print(f"{chosen.out}: {' above '.join(one.name for one in models)}")


if __name__ == "__main__":
    main()
