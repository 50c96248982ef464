from dataclasses import replace

import pytest
import torch

from triton_models.modeling.attention import (
    TemporalAttention,
    TemporalMode,
    masked_attention,
    rotary_angles,
    rotate,
    sliding_attention,
    temporal_mask,
)

SLIDING = TemporalMode(kind="sliding", window=3, anchor_interval=5)


def test_full_attention_has_no_mask() -> None:
    assert temporal_mask(TemporalMode(), 7) is None


def test_causal_attention_sees_the_past_and_itself() -> None:
    mask = temporal_mask(TemporalMode(kind="causal"), 6)
    assert mask is not None
    assert torch.equal(mask, torch.ones(6, 6, dtype=torch.bool).tril())


def test_sliding_attention_sees_its_window_and_past_anchors() -> None:
    mask = temporal_mask(SLIDING, 12)
    assert mask is not None
    assert mask[9].nonzero().squeeze(1).tolist() == [0, 5, 6, 7, 8, 9]
    open_mask = temporal_mask(replace(SLIDING, causal=False), 12)
    assert open_mask is not None
    assert open_mask[4].nonzero().squeeze(1).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 10]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 17, 33])
def test_sliding_attention_is_masked_attention(frames: int, causal: bool) -> None:
    mode = replace(SLIDING, causal=causal)
    q, k, v = torch.randn(3, 2, 4, frames, 8).unbind(0)
    expected = masked_attention(q, k, v, mode)
    assert expected.isfinite().all()
    torch.testing.assert_close(sliding_attention(q, k, v, mode), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mode", [TemporalMode(kind="causal"), SLIDING])
def test_the_future_does_not_reach_back(mode: TemporalMode) -> None:
    attention = TemporalAttention(16, 2)
    angles = rotary_angles(torch.arange(9), 8)
    x = torch.randn(1, 9, 3, 16)
    changed = x.clone()
    changed[:, 6:] += 1
    before, after = attention(x, angles, mode), attention(changed, angles, mode)
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=0, rtol=0)
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_attention_is_softmax_over_the_root_of_the_heads_width() -> None:
    q, k, v = torch.randn(3, 1, 2, 5, 8).unbind(0)
    expected = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v
    torch.testing.assert_close(masked_attention(q, k, v, TemporalMode()), expected)


def test_rotation_depends_on_distance_alone() -> None:
    q, k = torch.randn(2, 8).unbind(0)
    turned_q, turned_k = (rotate(x.expand(10, 8), rotary_angles(torch.arange(10), 8)) for x in (q, k))
    scores = turned_q @ turned_k.T
    torch.testing.assert_close(scores[2, 5], scores[6, 9])
    assert not torch.isclose(scores[2, 5], scores[2, 6])
