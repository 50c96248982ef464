"""Trains the judges on rendered clips, unless that is done: `python -m triton_models.training.judges.train`.

Prints how often they are right about renders that they never saw: the ceiling of what they can say of generated clips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..samples import scenes_from
from ..world.render import render
from ..world.scene import Scene
from .judge import FEATURES, FILE, Judges, Opinion
from .network import HEIGHT, LOOKED_AT, WATCHED, WIDTH, View
from .questions import LOOKS, MOVES, targets

CLIP_S = 5.0
_FIRST_SEED = 5 * 10**8
_HELD_OUT_SEED = 6 * 10**8
_RATE = 2e-3


def view_scene(scene: Scene) -> View:
    """Renders a scene and looks at it."""
    return View.of(render(scene, WATCHED, WATCHED / CLIP_S, WIDTH, HEIGHT))


def rendered(first_seed: int, count: int) -> tuple[list[Scene], View]:
    """Returns scenes in the shares of the measured prompts, and what is seen of them."""
    scenes = scenes_from(first_seed, count)
    return scenes, View.join([view_scene(scene) for scene in scenes])


def spoil(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Blurs, recolours a little and adds noise: the softness of generated clips must not decide. uint8 as before."""
    pixels = frames.float().flatten(0, 1)
    if torch.rand((), generator=generator) < 0.5:
        pixels = fn.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    if torch.rand((), generator=generator) < 0.25:
        pixels = fn.interpolate(fn.avg_pool2d(pixels, 2), scale_factor=2, mode="bilinear")
    gain = 1 + 0.06 * torch.randn(len(pixels), 3, 1, 1, generator=generator)
    noise = 5 * torch.rand((), generator=generator) * torch.randn(pixels.shape, generator=generator)
    return (pixels * gain + noise).clamp(0, 255).to(torch.uint8).view(frames.shape)


def choice_loss(scores: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
    """Returns the cross-entropy, summed over questions; a question that does not apply costs nothing."""
    losses = [-(wanted[name] * value.log_softmax(-1)).sum(-1).mean() for name, value in scores.items()]
    return torch.stack(losses).sum()


def fit(network: nn.Module, loss_of: Callable[[torch.Generator], Tensor], steps: int) -> None:
    """Trains a network for so many steps."""
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.02)
    network.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / min(50, 0.1 * steps), 2 * (1 - step / steps))
        loss = loss_of(torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    network.eval()


def train(scenes: list[Scene], views: View, steps: int) -> Judges:
    """Returns judges that were trained on these clips: the looker for `steps`, the watcher for a third of them."""
    judges = Judges.untrained()
    looks, moves = targets(scenes, LOOKS), targets(scenes, MOVES)

    def look(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(scenes), (48,), generator=generator)
        which = torch.randint(LOOKED_AT, (48,), generator=generator)
        pair = torch.cat((views.frames[rows, which][:, None], views.ground[rows]), 1)
        pair = spoil(pair, generator)
        with torch.autocast("cpu", torch.bfloat16):
            scores = judges.looker(pair[:, :1], pair[:, 1:])
        return choice_loss({name: value[:, 0].float() for name, value in scores.items()}, _rows(looks, rows))

    def watch(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(scenes), (24,), generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            scores = judges.watcher(views.course[rows], views.course_ground[rows])
        return choice_loss({name: value.float() for name, value in scores.items()}, _rows(moves, rows))

    fit(judges.looker, look, steps)
    fit(judges.watcher, watch, steps // 3)
    return with_directions(judges, views)


def _rows(wanted: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in wanted.items()}


def with_directions(judges: Judges, views: View) -> Judges:
    """Returns the judges with the principal components of their features over (some of) these clips."""
    width = len(judges.mean)
    raw = replace(judges, mean=torch.zeros(width), basis=torch.eye(width)).opinion(
        views[torch.arange(1000)[: len(views.ground)]]
    )
    features = torch.from_numpy(raw.features).float()
    directions = torch.linalg.svd(features - features.mean(0)).Vh
    return replace(judges, mean=features.mean(0), basis=directions[:FEATURES].contiguous())


def accuracy(opinion: Opinion, scenes: list[Scene]) -> dict[str, tuple[int, int]]:
    """Returns, for each question, how many clips were judged to be what they are, of how many it applies to."""
    table = {}
    for question in (*LOOKS, *MOVES):
        verdicts = [opinion.right(index, scene, question) for index, scene in enumerate(scenes)]
        asked = [verdict for verdict in verdicts if verdict is not None]
        table[question] = (sum(asked), len(asked))
    return table


def trained(clips: int = 2400, steps: int = 1200) -> Judges:
    """Returns the judges; if there are none yet, trains them, which takes minutes, and prints their ceilings."""
    if FILE.exists():
        return Judges.load()
    begun = time.monotonic()
    scenes, views = rendered(_FIRST_SEED, clips)
    print(f"{clips} clips for the judges rendered in {time.monotonic() - begun:.0f} s", flush=True)
    judges = train(scenes, views, steps)
    judges.save()
    scenes, views = rendered(_HELD_OUT_SEED, 400)
    seen = accuracy(judges.opinion(views), scenes)
    shares = {name: f"{good / asked:.3f} of {asked}" for name, (good, asked) in seen.items() if asked}
    print(
        f"{FILE} after {time.monotonic() - begun:.0f} s; right about renders that they never saw: {shares}", flush=True
    )
    return judges


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2400)
    parser.add_argument("--steps", type=int, default=1200)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    trained(chosen.clips, chosen.steps)
