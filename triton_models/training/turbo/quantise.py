"""Quantises the student to 8 bits, calibrated on clips of its own, and says what that changes.

Run as `python -m triton_models.training.turbo.quantise`. It writes the integers, and prints how far the latents of
unseen prompts end from where the student's end, as a share of their deviation: without calibration and with it.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...modeling.dit import VideoDiT
from ...modeling.pipeline import plan_generation, sample, start
from ...modeling.reference import STUDENT_FILE, ReferenceModel, load_reference
from ...modeling.turbo.int8 import calibrate, quantise, save_quantised
from ...modeling.turbo.student import STUDENT_TIER, with_student
from ..run import RUNS, WEIGHTS
from ..samples import held_out, scenes_from, telling_caption
from ..world.scene import Scene

_CALIBRATION_SEED = 4 * 10**8
CALIBRATION_CLIPS = 4


def latents_of(model: ReferenceModel, scenes: list[Scene]) -> Tensor:
    """Returns what the student makes of the scenes' captions, [N, F, H, W, C]."""
    plan = plan_generation(model.config, tier=STUDENT_TIER, aspect_ratio="16:9", duration_s=5.0)
    ends = []
    for scene in scenes:
        *_, last = sample(model, plan, start(plan, scene.seed), model.text.encode(telling_caption(scene)))
        ends.append(last.latent)
    return torch.cat(ends)


def student_peaks(model: ReferenceModel) -> dict[str, Tensor]:
    """Returns the largest magnitude of each input channel of the student's layers, over a few clips of its own."""
    scenes = scenes_from(_CALIBRATION_SEED, CALIBRATION_CLIPS)
    return calibrate(model.transformer(student=True), lambda: latents_of(model, scenes))


def quantised(dit: VideoDiT, peaks: Mapping[str, Tensor] | None = None) -> VideoDiT:
    """Returns a copy with 8-bit linear layers, smoothed where `peaks` tell of outliers."""
    changed = copy.deepcopy(dit)
    quantise(changed, peaks)
    return changed


def departure(model: ReferenceModel, student: VideoDiT, scenes: list[Scene]) -> float:
    """Returns the root mean square by which another student's latents differ, over the latents' deviation."""
    ours, theirs = latents_of(model, scenes), latents_of(replace(model, student=student), scenes)
    return float((theirs - ours).square().mean().sqrt() / ours.std())


def main() -> None:
    """Writes the quantised student and prints what it costs and changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=RUNS / "video_dit_student_int8.safetensors")
    parser.add_argument("--clips", type=int, default=8, help="compared")
    given = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    model = with_student(load_reference(given.weights), given.weights / STUDENT_FILE)
    dit = model.transformer(student=True)
    calibrated = copy.deepcopy(dit)
    report = quantise(calibrated, student_peaks(model))
    save_quantised(calibrated, given.out)
    scenes = held_out(given.clips)
    print(
        f"{report.parameters} weights in {len(report.layers)} layers are integers now; {len(report.kept)} layers stay"
    )
    print(f"largest error of a layer's weights {report.worst_error:.2%}")
    print(f"latents depart by {departure(model, quantised(dit), scenes):.2%} without calibration")
    print(f"and by {departure(model, calibrated, scenes):.2%} with it")
    print(f"{given.out}: {given.out.stat().st_size / 2**20:.1f} MiB, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
