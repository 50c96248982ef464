from __future__ import annotations

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.score import ROLL_CHANNELS, Score, compose, piano_roll
from triton_models.training.world.sound_music import music_bed

RATE = 24_000


def score(seed: int = 1) -> Score:
    return compose(np.random.default_rng(seed))


def latent_seconds(latents: int) -> torch.Tensor:
    return (torch.arange(latents) + 0.5) / 25


def test_scores_follow_the_seed() -> None:
    assert score(1) == score(1)
    drawn = [score(seed) for seed in range(40)]
    assert {each.key for each in drawn} == set(range(-3, 4))
    assert len({each.chords for each in drawn}) == 3
    assert all(60 / 110 <= each.beat_s <= 60 / 80 for each in drawn)


def test_every_note_of_every_score_is_on_the_roll() -> None:
    for seed in range(60):
        pad, pluck = piano_roll(score(seed), latent_seconds(400)).chunk(2, dim=1)
        assert pad.sum(dim=1).tolist() == [3] * 400
        assert (pluck > 0).sum(dim=1).tolist() == [1] * 400


def test_without_music_the_roll_is_empty() -> None:
    assert torch.equal(piano_roll(None, latent_seconds(5)), torch.zeros(5, ROLL_CHANNELS))


def test_the_harmony_comes_back_after_four_bars_however_long_the_clip() -> None:
    played = score()
    cycle_s = 16 * played.beat_s
    late = piano_roll(played, latent_seconds(10) + 5 * cycle_s)
    torch.testing.assert_close(late, piano_roll(played, latent_seconds(10)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_roll_says_when_the_world_plucks(seed: int) -> None:
    played = score(seed)
    bed = music_bed(played, 4 * RATE, RATE)
    for eighth in range(1, 8):
        onset = eighth * played.beat_s / 2
        before, after = (int((onset + shift) * RATE) for shift in (-0.02, 0.03))
        assert np.square(bed[:, after : after + 240]).mean() > np.square(bed[:, before : before + 240]).mean()
        fresh = piano_roll(played, torch.tensor([onset + 1e-4])).chunk(2, dim=1)[1].max()
        assert fresh > 0.99
