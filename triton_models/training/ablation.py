"""Finds out which parts of the recipe matter: `python -m triton_models.training.ablation --steps 1500`.

Three choices were once made together: training times drawn towards noise, half-whitened latents, and sampling with
shift 4. Here small transformers learn a world of one object, with and without each of the first two, in equally many
steps on the same batches, and every one of them is sampled with every shift. Rules judge what the clips show. Arms
whose training was stopped go on where they were.

One-hot words take the place of a text encoder. Legend: N clips, B batch; latents are [B, F, H, W, C].
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as fn

from ..modeling.dit import DiTConfig, Text, VideoDiT
from ..modeling.flow import shifted_schedule
from ..modeling.shapes import TEMPORAL_FACTOR
from ..modeling.vae import VAEConfig, VideoVAE
from .distil import in_bfloat16
from .dit import LEARNING_RATE, follow, optimisers, told_or_not
from .latents import fit_linear, sampled_blocks, to_video
from .measure import colour_mask, find_object, motion_of
from .run import RUNS, Run
from .table import Row, Share, table
from .turbo.objectives import guided_field
from .world.grammar import sample_actor
from .world.render import render
from .world.scene import Scene

WORDS = {
    "colour": ("red", "green", "blue", "yellow"),
    "shape": ("ball", "square", "triangle"),
    "direction": ("left", "right", "up", "down"),
}
"""What a clip is told by."""
COMBINATIONS = tuple(product(*WORDS.values()))
SHIFTS = (1.0, 2.0, 4.0)
_FRAMES, _FPS, _SIDE = 17, 12.0, 64
_CLIPS, _FITTED = 6000, 300
_CONFIG = DiTConfig(width=128, depth=5, heads=4, text_width=11, summary_tokens=3)
_BATCH = 24
_SAMPLING_STEPS, _GUIDANCE = 16, 2.5
_WARMUP_STEPS, _SAVE_EVERY = 100, 200
_CLIPS_FILE = "ablation/clips.safetensors"

Clip = NDArray[np.uint8]


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    towards_noise: bool
    """Whether noise levels are sigmoid(1 + 1.2 n) rather than sigmoid(n)."""
    whitening: float
    """Power of a channel's deviation that its latents are divided by."""

    @property
    def name(self) -> str:
        """As in the table."""
        times = "towards noise" if self.towards_noise else "in the middle"
        return f"times {times}, {'half' if self.whitening < 1 else 'fully'} whitened"

    @property
    def run(self) -> str:
        """Of its training run."""
        return f"ablation/{'noise' if self.towards_noise else 'middle'}_{self.whitening:g}"

    def noise_levels(self, generator: torch.Generator) -> Tensor:
        """Returns [B] training times."""
        normal = torch.randn(_BATCH, generator=generator)
        return torch.sigmoid(1 + 1.2 * normal if self.towards_noise else normal)


ARMS = tuple(Arm(towards_noise, whitening) for towards_noise in (True, False) for whitening in (0.5, 1.0))


def clip_of(number: int) -> Clip:
    """Returns clip `number`, [T, H, W, 3]; its words are those of `COMBINATIONS`, in turn."""
    rng = np.random.default_rng((number, 11))
    colour, shape, direction = COMBINATIONS[number % len(COMBINATIONS)]
    actor = sample_actor(rng, shape, colour, str(rng.choice(("medium", "big"))), direction)
    scene = Scene("grey", (actor,), number)
    return render(scene, _FRAMES, _FPS, _SIDE, _SIDE, start_s=rng.uniform(1.0, 2.0))


def words_of(numbers: NDArray[np.int64]) -> Text:
    """Returns the one-hot words of the clips with these numbers."""
    places = np.cumsum([0, *map(len, WORDS.values())])[:-1]
    told = [[options.index(word) for options, word in zip(WORDS.values(), COMBINATIONS[number], strict=True)]
            for number in numbers % len(COMBINATIONS)]  # fmt: skip
    hot = fn.one_hot(torch.tensor(told + places), _CONFIG.text_width).float()
    return Text(hot, torch.ones(hot.shape[:2], dtype=torch.bool))


@dataclass(frozen=True)
class World:
    """The clips of training, fully whitened, and what makes pixels of them again."""

    vae: VideoVAE
    latents: Tensor

    @classmethod
    def load(cls) -> World:
        """Renders it, unless that is done."""
        path, vae = RUNS / _CLIPS_FILE, VideoVAE(VAEConfig()).eval()
        if not path.exists():
            fit_linear(vae, sampled_blocks(map(clip_of, range(_FITTED))), whitening=1.0)
            latents = torch.cat([vae.encode(to_video(clip_of(number))) for number in range(_CLIPS)])
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"latents": latents, **{name: value.clone() for name, value in vae.named_buffers()}}, path)
        saved = load_file(path)
        latents = saved.pop("latents")
        vae.load_state_dict(saved, strict=False)
        return cls(vae.requires_grad_(requires_grad=False), latents)

    def whitened(self, whitening: float) -> World:
        """Returns the same clips in latents of another scale, of a mean square of 1 as well."""
        vae = copy.deepcopy(self.vae)
        # Fully whitened, the scale is the deviation.
        deviations = self.vae.scale
        vae.scale.copy_(deviations**whitening * (deviations ** (2 - 2 * whitening)).mean().sqrt())
        return replace(self, vae=vae, latents=self.latents * (deviations / vae.scale))

    def batch(self, step: int) -> tuple[Tensor, Text]:
        """Returns the clips of a training step."""
        numbers = np.random.default_rng((step, 12)).integers(len(self.latents), size=_BATCH)
        return self.latents[numbers], words_of(numbers)

    def clips(self, latents: Tensor) -> list[Clip]:
        """Returns latents as pixels."""
        pixels = self.vae.linear(latents)[:, :, TEMPORAL_FACTOR - 1 :].clamp(-1, 1).permute(0, 2, 3, 4, 1)
        return list(((pixels + 1) * 127.5).round().to(torch.uint8).numpy())


def flow_loss(dit: VideoDiT, data: Tensor, text: Text, arm: Arm, generator: torch.Generator) -> Tensor:
    """Returns the mean squared error of the velocity."""
    t_B = arm.noise_levels(generator)
    noise = torch.randn(data.shape, generator=generator)
    mixed = torch.lerp(data, noise, t_B[:, None, None, None, None])
    loss: Tensor = (dit(mixed, t_B, told_or_not(dit, text, generator)) - (noise - data)).square().mean()
    return loss


def learning_rate(step: int, steps: int) -> float:
    """Warms up, and falls to zero over the last two fifths."""
    return LEARNING_RATE * min(1.0, (step + 1) / _WARMUP_STEPS, (1 - step / steps) / 0.4)


def train(arm: Arm, world: World, steps: int) -> VideoDiT:
    """Returns the averaged transformer after `steps` steps."""
    torch.manual_seed(0)
    dit = VideoDiT(_CONFIG)
    average = copy.deepcopy(dit)
    muon, adam = optimisers(dit)
    parts = {"dit": dit, "average": average, "muon": muon, "adam": adam}
    run = Run.open(arm.run, parts)
    for block in dit.blocks:
        block.compile()
    while run.step < steps:
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = learning_rate(run.step, steps)
        generator = torch.Generator().manual_seed(run.step)
        with torch.autocast("cpu", torch.bfloat16):
            loss = flow_loss(dit, *world.batch(run.step), arm, generator)
        dit.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(dit.parameters(), 1.0)
        muon.step()  # type: ignore[no-untyped-call]
        adam.step()
        follow(average, dit, run.step)
        run.record(loss.item(), _SAVE_EVERY)
        if run.step % _SAVE_EVERY == 0 or run.step == steps:
            run.save(parts)
    print(f"{arm.name}: {run.cost()}", flush=True)
    return average.eval()


def sampled(dit: VideoDiT, numbers: NDArray[np.int64], shift: float, shape: torch.Size) -> Tensor:
    """Returns a latent for the words of each number, of `shape` [F, H, W, C], by guided Euler steps."""
    field, text = in_bfloat16(guided_field(dit, _GUIDANCE)), words_of(numbers)
    latents = torch.randn(len(numbers), *shape, generator=torch.Generator().manual_seed(0))
    for t, t_next in pairwise(shifted_schedule(_SAMPLING_STEPS, shift)):
        latents = latents - (t - t_next) * field(latents, torch.full((len(latents),), t), text)
    return latents


def shown(clip: Clip) -> tuple[str, str, str]:
    """Returns the words that the rules find in a clip."""
    colour = max(WORDS["colour"], key=lambda name: colour_mask(clip, name).mean())
    sighting = find_object(clip, colour)
    return colour, sighting.shape, motion_of(sighting)


def row_of(name: str, clips: list[Clip]) -> Row:
    """Returns the shares of colour, shape and direction that are as told, and of clips where all are."""
    right = [[said == told for said, told in zip(shown(clip), COMBINATIONS[number % len(COMBINATIONS)], strict=True)]
             for number, clip in enumerate(clips)]  # fmt: skip
    return Row(name, (*map(Share.of, zip(*right, strict=True)), Share.of(map(all, right))))


def pooled(name: str, rows: list[Row]) -> Row:
    """Returns the shares over several rows together."""
    columns = zip(*(row.cells for row in rows), strict=True)
    shares = [[cell for cell in column if isinstance(cell, Share)] for column in columns]
    return Row(name, tuple(Share(sum(s.good for s in column), sum(s.asked for s in column)) for column in shares))


def summary(rows: dict[tuple[Arm, float], Row]) -> list[Row]:
    """Returns, for each choice, all clips made with it beside all made without."""
    groups = {
        "times towards noise": [row for (arm, _), row in rows.items() if arm.towards_noise],
        "times in the middle": [row for (arm, _), row in rows.items() if not arm.towards_noise],
        "half whitened": [row for (arm, _), row in rows.items() if arm.whitening < 1],
        "fully whitened": [row for (arm, _), row in rows.items() if arm.whitening == 1],
    }
    groups |= {f"sampling shift {shift:g}": [row for (_, s), row in rows.items() if s == shift] for shift in SHIFTS}
    return [pooled(name, members) for name, members in groups.items()]


def main() -> None:
    """Trains every arm and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500, help="of each arm")
    parser.add_argument("--clips", type=int, default=4 * len(COMBINATIONS), help="judged of each arm and shift")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    world, numbers = World.load(), np.arange(chosen.clips)
    real = row_of("renders through the linear autoencoder", world.clips(world.latents[numbers]))
    rows: dict[tuple[Arm, float], Row] = {}
    for arm in ARMS:
        own = world.whitened(arm.whitening)
        dit = train(arm, own, chosen.steps)
        for shift in SHIFTS:
            clips = own.clips(sampled(dit, numbers, shift, own.latents.shape[1:]))
            rows[arm, shift] = row_of(f"{arm.name}, shift {shift:g}", clips)
    columns = (*WORDS, "all three")
    print(table(columns, [real, *rows.values()]))
    print(table(columns, summary(rows)))


if __name__ == "__main__":
    main()
