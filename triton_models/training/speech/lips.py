"""Train the lip refiner: `python -m triton_models.training.speech.lips`; some minutes.

A rendered face that says one word is to become the same face saying another: both are drawn with the same head at the
same time, so the wanted picture is known to the pixel. What the network sees has gone through the video autoencoder,
as generated frames have, and is noisy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from triton_models.modeling.audio.model import load_video_vae
from triton_models.modeling.pipeline import to_frames
from triton_models.modeling.speech.lips import FaceNet, LipNet, LipRefiner, as_tensor, places_in, save_lip_refiner
from triton_models.modeling.speech.mouths import Frames, mouth_area, openings
from triton_models.modeling.vae import VideoVAE
from triton_models.training.audio.loop import REFERENCE, LoopSettings, begin, fit, stage_parser
from triton_models.training.world.face import mouth_track
from triton_models.training.world.grammar import sample_scene
from triton_models.training.world.render import render
from triton_models.training.world.scene import WORDS, Scene

from .letters import RUN_FOLDER

_FRAMES, _FPS, _BEGIN_S = 13, 12.0, 0.5
_SIZES = ((112, 64), (64, 112), (80, 80), (96, 72))
_BATCH = 48
_FACE_STEPS = 800
_CHANGE_WEIGHT = 10
_HELD_OUT_WORDS = frozenset({"banana", "purple", "mountain"})


class Pair(NamedTuple):
    """A clip of a face as seen, and what its mouth's area should become."""

    seen_T3HW: Tensor
    wanted_T3hw: Tensor
    shapes_T2: Tensor
    """Wanted apertures and widths."""


def main() -> None:
    """Trains both networks and measures them on faces and words kept aside."""
    parser = stage_parser(str(__doc__), steps=4000, learning_rate=3e-3)
    parser.set_defaults(run=RUN_FOLDER)
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    given = begin(parser)
    vae = load_video_vae(given.weights)
    pairs = face_pairs(vae, given.clips, first_seed=0)
    others = other_frames(vae, 2 * given.clips)
    refiner = LipRefiner(FaceNet(), LipNet())
    _fit_lips(refiner.lips, pairs, given)
    _fit_faces(refiner.faces, pairs, others, given)
    print(measured(refiner, face_pairs(vae, 24, first_seed=100_000, words=_HELD_OUT_WORDS), others[-100:]))
    save_lip_refiner(refiner, given.weights)


def face_pairs(
    vae: VideoVAE, clips: int, first_seed: int, words: frozenset[str] = frozenset(WORDS) - _HELD_OUT_WORDS
) -> list[Pair]:
    """Pairs of rendered faces that come to say one of `words`."""
    faces = (scene for scene in map(sample_scene, count(first_seed)) if scene.face is not None)
    rng = np.random.default_rng(first_seed)
    choice = sorted(words)
    return [_pair(vae, scene, str(rng.choice(choice)), rng) for scene in islice(faces, clips)]


def _pair(vae: VideoVAE, scene: Scene, word: str, rng: np.random.Generator) -> Pair:
    assert scene.face is not None  # noqa: S101
    width, height = _SIZES[rng.choice(len(_SIZES), p=(0.7, 0.1, 0.1, 0.1))]
    other = replace(scene, face=replace(scene.face, word=word))
    seen = _decoded(vae, render(scene, _FRAMES, _FPS, width, height, _BEGIN_S))
    wanted = as_tensor(render(other, _FRAMES, _FPS, width, height, _BEGIN_S))
    area = mouth_area(height, width)
    shapes = np.stack(mouth_track(other, _BEGIN_S + np.arange(_FRAMES) / _FPS), axis=1)
    return Pair(
        as_tensor(seen), wanted[:, :, area.top : area.bottom, area.left : area.right], torch.from_numpy(shapes).float()
    )


def other_frames(vae: VideoVAE, clips: int) -> Tensor:
    """[N, 3, H, W] of scenes without a face, as the autoencoder gives them back."""
    scenes = (scene for scene in map(sample_scene, count()) if scene.face is None)
    frames = [_decoded(vae, render(scene, 5, _FPS, *_SIZES[0], 1.0))[-2:] for scene in islice(scenes, clips)]
    return as_tensor(np.concatenate(frames))


def _decoded(vae: VideoVAE, frames: Frames) -> Frames:
    video = as_tensor(frames).transpose(0, 1)[None] * 2 - 1
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return to_frames(vae.decode(vae.encode(video))[0, :, : len(frames)])


def _fit_lips(net: LipNet, pairs: list[Pair], given: argparse.Namespace) -> None:
    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([3, step])
        pair = pairs[rng.integers(len(pairs))]
        height, width = pair.seen_T3HW.shape[2:]
        area = mouth_area(height, width)
        seen = pair.seen_T3HW[:, :, area.top : area.bottom, area.left : area.right]
        noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(step))
        painted = net((seen + 0.04 * noise).clamp(0, 1), pair.shapes_T2, places_in(height, width))
        # Most of the area stays as it is: what has to change counts more.
        weight = 1 + _CHANGE_WEIGHT * (seen - pair.wanted_T3hw).abs()
        error: Tensor = (weight * (painted - pair.wanted_T3hw).abs()).mean()
        return error

    fit(net, loss, LoopSettings(steps=given.steps, learning_rate=given.learning_rate, file=given.run / "lips.pt"))


def _fit_faces(net: FaceNet, pairs: list[Pair], others: Tensor, given: argparse.Namespace) -> None:
    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([4, step])
        pair = pairs[rng.integers(len(pairs))]
        negative = others[torch.from_numpy(rng.integers(len(others) - 100, size=_BATCH))]
        noise = float(rng.uniform(0, 0.1)) * torch.randn(1, generator=torch.Generator().manual_seed(step))
        logits = torch.cat([net(pair.seen_T3HW + noise), net(negative + noise)])
        target = torch.cat([torch.ones(len(pair.seen_T3HW)), torch.zeros(_BATCH)])
        return functional.binary_cross_entropy_with_logits(logits, target)

    fit(net, loss, LoopSettings(steps=_FACE_STEPS, learning_rate=given.learning_rate, file=given.run / "faces.pt"))


def measured(refiner: LipRefiner, pairs: list[Pair], others_N3HW: Tensor) -> dict[str, float]:
    """Mean error of the mouth's opening before and after, and the shares of faces found and of others taken for one."""
    before, after, found = [], [], []
    for pair in pairs:
        frames = (pair.seen_T3HW * 255).round().byte().permute(0, 2, 3, 1).numpy()
        refined = refiner.refined(frames, pair.shapes_T2.double().numpy())
        wanted = pair.shapes_T2[:, 0].numpy()
        before.append(np.abs(openings(frames) - wanted).mean())
        after.append(np.abs(openings(refined) - wanted).mean())
        found.append(refiner.shows_face(frames))
    with torch.inference_mode():
        mistaken = float((refiner.faces(others_N3HW) > 0).float().mean())
    return {
        "opening error before": float(np.mean(before)), "after": float(np.mean(after)),
        "faces found": float(np.mean(found)), "others mistaken": mistaken,
    }  # fmt: skip


if __name__ == "__main__":
    main()
