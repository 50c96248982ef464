"""The small trainings that tell apart what was once changed together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.modeling.vae import VAEConfig, VideoVAE
from triton_models.training import ablation
from triton_models.training.ablation import ARMS, COMBINATIONS, Arm, World, clip_of, row_of, shown, summary, words_of
from triton_models.training.latents import fit_linear, sampled_blocks, to_video
from triton_models.training.table import Row, Share


@pytest.fixture(scope="module")
def world() -> World:
    vae = VideoVAE(VAEConfig()).eval()
    clips = [clip_of(number) for number in range(24)]
    fit_linear(vae, sampled_blocks(clips), whitening=1.0)
    return World(vae, torch.cat([vae.encode(to_video(clip)) for clip in clips]))


def test_the_rules_see_what_a_clip_was_told_by() -> None:
    for number in range(0, len(COMBINATIONS), 5):
        assert shown(clip_of(number)) == COMBINATIONS[number]


def test_a_clip_has_one_word_of_each_kind() -> None:
    text = words_of(np.arange(len(COMBINATIONS)))
    assert text.embeddings_BKD.shape == (len(COMBINATIONS), 3, 11)
    assert text.embeddings_BKD.sum(-1).eq(1).all()
    assert len({tuple(row.flatten().tolist()) for row in text.embeddings_BKD}) == len(COMBINATIONS)


def test_whitening_changes_the_scale_of_channels_and_not_the_picture(world: World) -> None:
    half = world.whitened(0.5)
    deviations = half.latents.square().mean((0, 1, 2, 3)).sqrt()
    assert deviations[0] > 2 * deviations[-1]
    assert world.latents.square().mean().sqrt().item() == pytest.approx(1, rel=0.2)
    assert half.latents.square().mean().sqrt().item() == pytest.approx(1, rel=0.2)
    for ours, theirs in zip(world.clips(world.latents[:2]), half.clips(half.latents[:2]), strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_times_towards_noise_are_higher() -> None:
    generator = torch.Generator().manual_seed(0)
    means = {arm.towards_noise: float(arm.noise_levels(generator).mean()) for arm in ARMS}
    assert means[True] > means[False] + 0.05


def test_a_stopped_arm_goes_on_to_the_same_weights(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triton_models.training.run.RUNS", tmp_path)
    monkeypatch.setattr(ablation, "_SAVE_EVERY", 1)
    monkeypatch.setattr(ablation, "_BATCH", 2)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *_: None)
    monkeypatch.setattr(ablation, "learning_rate", lambda *_: 1e-3)
    straight = ablation.train(Arm(True, 0.5), world, 2).state_dict()
    (tmp_path / "ablation/noise_0.5.pt").unlink()
    ablation.train(Arm(True, 0.5), world, 1)
    resumed = ablation.train(Arm(True, 0.5), world, 2).state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_summary_pools_the_arms_with_and_without_a_choice(world: World) -> None:
    renders = row_of("real", world.clips(world.latents))
    assert all(isinstance(cell, Share) and cell.value > 0.9 for cell in renders.cells)
    rows = {
        (arm, shift): Row("", (Share(8 if arm.towards_noise else 2, 10),) * 4)
        for arm in ARMS
        for shift in ablation.SHIFTS
    }
    pooled = {row.name: row.cells[0] for row in summary(rows)}
    assert pooled["times towards noise"] == Share(48, 60)
    assert pooled["times in the middle"] == Share(12, 60)
    assert pooled["half whitened"] == pooled["fully whitened"] == Share(30, 60)
