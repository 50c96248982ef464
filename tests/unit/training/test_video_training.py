"""What the video transformer and its text encoder are shown in training."""

import numpy as np
import pytest
import torch

from triton_models.modeling.attention import TemporalMode
from triton_models.modeling.dit import DiTConfig, Text, VideoDiT
from triton_models.modeling.text import TextConfig, TextEncoder, collate, tokenize
from triton_models.training.dit import clip_length, flow_loss, frame_noise_levels, learning_rate
from triton_models.training.text import ATTRIBUTES, departure, inherit, labels_of
from triton_models.training.world.grammar import sample_scene

STREAM = TemporalMode(kind="causal", chunk=4)


def levels(mode: TemporalMode, frames: int = 10) -> torch.Tensor:
    return frame_noise_levels(400, frames, mode, torch.Generator().manual_seed(0))


def test_a_clip_has_one_level_and_a_quarter_have_a_given_first_frame() -> None:
    drawn = levels(TemporalMode())
    assert (drawn[:, 1:] == drawn[:, 1:2]).all()
    given = drawn[:, 0] == 0
    assert 0.18 < given.float().mean() < 0.32
    assert torch.equal(drawn[~given, 0], drawn[~given, 1])


def test_a_picture_is_never_given() -> None:
    assert (levels(TemporalMode(), 1) > 0).all()
    assert (levels(STREAM, 1) > 0).all()


def test_chunks_of_a_stream_have_levels_of_their_own_and_the_last_is_made() -> None:
    drawn = levels(STREAM)
    assert (drawn[:, :4] == drawn[:, :1]).all()
    assert (drawn[:, 0] != drawn[:, 4]).float().mean() > 0.8
    assert 0.2 < (drawn[:, 0] == 0).float().mean() < 0.4
    assert (drawn[:, 8:] > 0).all()


def test_given_frames_do_not_count_in_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    dit = VideoDiT(DiTConfig(width=16, depth=1, heads=2, text_width=8, summary_tokens=0))
    data, text = torch.randn(2, 3, 4, 4, 16), Text(torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool))

    def given(size: int, frames: int, *_: object) -> torch.Tensor:
        return torch.full((size, frames), 0.5).index_fill(1, torch.tensor([0]), 0.0)

    monkeypatch.setattr("triton_models.training.dit.frame_noise_levels", given)
    loss = flow_loss(dit, data, text, TemporalMode(), torch.Generator().manual_seed(2))
    noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(2))
    # An untrained transformer says 0, so the loss is the mean square of what it should say of the frames it makes.
    torch.testing.assert_close(loss, (noise - data)[:, 1:].square().mean())


def test_clips_grow_longer_over_a_run() -> None:
    early, late = ([clip_length(draw, share) for draw in range(300)] for share in (0.0, 1.0))
    assert np.mean(late) > np.mean(early) + 3
    assert {*early, *late} == {1, 2, 6, 10, 16}


def test_the_learning_rate_rises_stays_and_ends_at_nothing() -> None:
    assert learning_rate(0, 0.0) < learning_rate(1000, 0.3) == learning_rate(1000, 0.5)
    assert learning_rate(9000, 1.0) == 0


def test_every_scene_has_a_label_for_every_attribute() -> None:
    for seed in range(300):
        labels = labels_of(sample_scene(seed))
        assert len(labels) == len(ATTRIBUTES)
        assert all(0 <= label < len(values) for label, values in zip(labels, ATTRIBUTES.values(), strict=True))


def test_an_heir_begins_with_what_its_elder_knew() -> None:
    torch.manual_seed(2)
    elder = TextEncoder(TextConfig(width=16, depth=1, heads=2, summary_tokens=2)).eval()
    heir = TextEncoder(TextConfig(width=16, depth=1, heads=2, summary_tokens=5)).eval()
    added = heir.summary[2:].detach().clone()
    inherit(heir, elder)
    assert torch.equal(heir.summary[:2], elder.summary)
    assert torch.equal(heir.summary[2:], added)
    grams = collate([tokenize("a red ball", elder.config)])
    assert departure(elder(grams)[0], elder, elder, grams) < 1e-9
    assert departure(heir(grams)[0], heir, elder, grams) > 1e-6
