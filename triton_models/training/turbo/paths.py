"""Follows the guided teacher from noise to data, and keeps what a student's few steps have to do.

Run as `python -m triton_models.training.turbo.paths --count 1600`. Paths go into a folder named after the teacher, a
few of one shape to a file, so several processes may make them at once (`--first 0 --every 2`, `--first 1 --every 2`),
and a student may learn from those that are there.

What a student meets in sampling is such a path, not noised clips: guidance leads away from those. A path costs as much
as a clip does, and serves for as long as its teacher does.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...modeling.audio.model import load_video_vae
from ...modeling.dit import Text, VideoDiT
from ...modeling.flow import shifted_schedule
from ...modeling.reference import DIT_FILE, ReferenceConfig, load_config
from ...modeling.shapes import LatentShape, VideoShape
from ...modeling.text import TextEncoder, collate, tokenize
from ...modeling.turbo.student import STUDENT_STEPS, TEACHER_TIER
from ...modeling.vae import VideoVAE
from ..distil import in_bfloat16, load_teacher
from ..dit import load_text
from ..judges.questions import kind_of
from ..latents import to_video
from ..run import RUNS, WEIGHTS
from ..world.grammar import caption, sample_scene
from ..world.render import render
from ..world.scene import Scene
from .objectives import Field, guided_field

TOGETHER = 6
"""Paths of one file."""
TEACHER_STEPS = 8
"""Of a path: twice the student's. More change the clips less than the student does."""
DURATION_S = 5.0
_ASPECTS, _SHARES = ("16:9", "9:16", "1:1", "4:3"), (0.7, 0.1, 0.1, 0.1)
_FIRST_FRAME_SHARE = 0.15
_FIRST_SEED = 3 * 10**8
_CANDIDATES = 3 * TOGETHER
"""Scenes from which those of one file are drawn."""


@dataclass(frozen=True)
class Paths:
    """Clips from noise to data in the student's steps."""

    noise: Tensor
    """[B, F, H, W, C]; the frames that are given are data from the start."""
    velocities: Tensor
    """[B, steps, F, H, W, C], each constant over its step."""
    text: Text
    timesteps: tuple[float, ...]
    held: int = 0
    """Frames that are given."""

    def at(self, step_B: Tensor) -> tuple[Tensor, Tensor]:
        """Returns where each path is before a step of its own, and the velocity that leads to the next one."""
        strides = -torch.tensor(self.timesteps).diff()
        done = torch.arange(len(strides)) < step_B[:, None]
        gone = (strides * done)[:, :, None, None, None, None] * self.velocities
        return self.noise - gone.sum(1), self.velocities[torch.arange(len(step_B)), step_B]

    def save(self, path: Path) -> None:
        """Writes them in half precision, whole or not at all."""
        tensors = {"noise": self.noise.half(), "velocities": self.velocities.half()}
        tensors |= {"embeddings": self.text.embeddings_BKD.clone(), "mask": self.text.mask_BK.clone()}
        partial = path.with_suffix(".partial")
        save_file(tensors | {"timesteps": torch.tensor(self.timesteps)}, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Paths:
        """Reads what `save` wrote."""
        saved = load_file(path)
        text = Text(saved["embeddings"], saved["mask"])
        velocities = saved["velocities"].float()
        held = int((velocities.abs().amax((0, 1, 3, 4, 5)) == 0).sum())
        return cls(saved["noise"].float(), velocities, text, tuple(saved["timesteps"].tolist()), held)


def frame_levels(t_B: Tensor, frames: int, held: int) -> Tensor:
    """Returns the noise levels [B, F], 0 for the frames that are given."""
    levels_BF = t_B[:, None].repeat(1, frames)
    levels_BF[:, :held] = 0
    return levels_BF


@torch.no_grad()
def follow_teacher(teacher: Field, noise: Tensor, text: Text, shift: float, strides: int, held: int = 0) -> Paths:
    """Returns the paths of Euler sampling with `strides` strides in each of the student's steps."""
    moving = (torch.arange(noise.shape[1]) >= held)[:, None, None, None]
    levels, latents, velocities = shifted_schedule(STUDENT_STEPS * strides, shift), noise, []
    for first in range(0, len(levels) - 1, strides):
        before = latents
        for t, t_next in zip(levels[first : first + strides], levels[first + 1 : first + 1 + strides], strict=True):
            t_BF = frame_levels(latents.new_full((len(latents),), t), latents.shape[1], held)
            latents = latents - (t - t_next) * moving * teacher(latents, t_BF, text)
        velocities.append((before - latents) / (levels[first] - levels[first + strides]))
    return Paths(noise, torch.stack(velocities, 1), text, levels[::strides], held)


def emphasis(scene: Scene) -> float:
    """Returns how often a scene is drawn: of pairs and landscapes few steps lose the most."""
    return {"two objects": 2.5, "landscape": 1.5}.get(kind_of(scene), 1.0)


def _scenes(number: int, rng: np.random.Generator) -> list[Scene]:
    """The scenes of a file of paths, no two the same."""
    first = _FIRST_SEED + number * _CANDIDATES
    candidates = [sample_scene(seed) for seed in range(first, first + _CANDIDATES)]
    chances = np.array([emphasis(scene) for scene in candidates])
    picked = rng.choice(_CANDIDATES, TOGETHER, replace=False, p=chances / chances.sum())
    return [candidates[place] for place in picked]


@dataclass(frozen=True)
class Beginnings:
    """Draws where paths begin, the same for the same number."""

    config: ReferenceConfig
    text: TextEncoder
    vae: VideoVAE

    def draw(self, number: int) -> tuple[Tensor, Text, int]:
        """Returns the noise and the captions of a file of paths, and how many frames are given: one in some files."""
        rng = np.random.default_rng((number, 8))
        width, height = self.config.sizes[str(rng.choice(_ASPECTS, p=_SHARES))]
        shape = VideoShape.from_duration(DURATION_S, self.config.fps, height, width).latent()
        scenes = _scenes(number, rng)
        captions = [tokenize(caption(scene, scene.seed), self.text.config) for scene in scenes]
        noise = torch.randn(TOGETHER, *shape, generator=torch.Generator().manual_seed(number))
        held = int(rng.random() < _FIRST_FRAME_SHARE)
        with torch.no_grad():
            text = Text(*self.text(collate(captions)))
            if held:
                noise[:, :1] = torch.cat([self._picture(scene, shape) for scene in scenes])
        return noise, text, held

    def _picture(self, scene: Scene, shape: LatentShape) -> Tensor:
        pixels = shape.pixels()
        latent: Tensor = self.vae.encode(to_video(render(scene, 1, self.config.fps, pixels.width, pixels.height)))
        return latent


def folder_of(weights: Path) -> Path:
    """Returns where the paths of a teacher are kept: another teacher has another folder."""
    return RUNS / f"paths_{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}"


def make(teacher: VideoDiT, beginnings: Beginnings, folder: Path, numbers: range) -> None:
    """Makes the files that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    tier = beginnings.config.tiers[TEACHER_TIER]
    field = in_bfloat16(guided_field(teacher, tier.guidance))
    begun = time.monotonic()
    for number in numbers:
        path = folder / f"{number:05d}.safetensors"
        if not path.exists():
            noise, text, held = beginnings.draw(number)
            follow_teacher(field, noise, text, tier.shift, TEACHER_STEPS // STUDENT_STEPS, held).save(path)
        if (number + 1) % 20 == 0:
            print(f"{path} after {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1600)
    parser.add_argument("--weights", type=Path, default=WEIGHTS / DIT_FILE, help="the teacher")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--every", type=int, default=1, help="make one file of so many")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(WEIGHTS)
    teacher = load_teacher(config, chosen.weights)
    beginnings = Beginnings(config, load_text(config), load_video_vae(WEIGHTS))
    numbers = range(chosen.first, -(-chosen.count // TOGETHER), chosen.every)
    make(teacher, beginnings, folder_of(chosen.weights), numbers)


if __name__ == "__main__":
    main()
