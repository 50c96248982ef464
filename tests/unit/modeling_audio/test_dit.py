from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as fn

from triton_models.modeling.attention import rotate
from triton_models.modeling.audio.attention import near_attention, second_angles
from triton_models.modeling.audio.cues import AMBIENCES
from triton_models.modeling.audio.dit import AudioBlock, AudioConditions, AudioDiT, AudioDiTConfig, latent_seconds
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS

LATENTS = 75


def network() -> AudioDiT:
    """With its outermost layer switched on: it starts at zero, and nothing could be seen through it."""
    torch.manual_seed(0)
    dit = AudioDiT(AudioDiTConfig(width=48, depth=2)).eval()
    torch.nn.init.normal_(dit.latent_out.weight)
    return dit


def given(latents: int = LATENTS) -> AudioConditions:
    generator = torch.Generator().manual_seed(1)
    return AudioConditions(torch.rand(1, latents, TOKEN_CHANNELS, generator=generator), torch.ones(1, len(AMBIENCES)))


def latent(latents: int = LATENTS) -> torch.Tensor:
    return torch.randn(1, latents, 64, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def velocity(dit: AudioDiT, conditions: AudioConditions, noisy: torch.Tensor | None = None) -> torch.Tensor:
    noisy = latent() if noisy is None else noisy
    result: torch.Tensor = dit(noisy, torch.full((len(noisy),), 0.5), conditions)
    return result


def test_every_condition_is_listened_to() -> None:
    dit, conditions = network(), given()
    plain = velocity(dit, conditions)
    changed = {
        "tracks": replace(conditions, tracks_BLC=conditions.tracks_BLC * 0.5),
        "ambience": replace(conditions, ambience_BA=conditions.ambience_BA * 0),
    }
    for name, other in changed.items():
        assert not torch.allclose(plain, velocity(dit, other), atol=1e-3), name


@pytest.mark.parametrize("place", [10, 40, 60])
def test_untrained_attention_looks_at_its_own_instant(place: int) -> None:
    attention = AudioBlock(AudioDiTConfig()).picture
    tokens = torch.randn(1, LATENTS, 96, generator=torch.Generator().manual_seed(3))
    angles = second_angles(latent_seconds(LATENTS), 24, 0.16, 40.0)
    with torch.inference_mode():
        queries, (keys, _) = rotate(attention.queries(tokens), angles), attention.keys_values(tokens)
        weights = (queries @ rotate(keys, angles).transpose(-1, -2) / 24**0.5).softmax(-1)
    near = weights[0, :, place, place - 1 : place + 2].sum(dim=-1)
    assert weights[0, :, place].argmax(dim=-1).tolist() == [place] * 4
    assert near.min() > 0.8


@pytest.mark.parametrize("length", [1, 7, 21, 22, 23, 35, 50])
def test_attention_in_blocks_is_masked_attention(length: int) -> None:
    q, k, v = torch.randn(3, 2, 2, length, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    place = torch.arange(length)
    near = (place[:, None] - place).abs() <= 7
    torch.testing.assert_close(near_attention(q, k, v, 7), fn.scaled_dot_product_attention(q, k, v, attn_mask=near))


def test_a_token_sees_no_further_than_its_windows() -> None:
    """Also where attention goes in blocks: the clip is longer than three windows."""
    dit, conditions, length = network(), given(200), 200
    other = latent(length)
    other[0, 150:] += 1
    difference = (velocity(dit, conditions, other) - velocity(dit, conditions, latent(length))).abs().amax(dim=-1)[0]
    reach = 2 * round(25 * dit.config.window_s)
    assert difference[: 150 - reach].max() == 0
    assert difference[150 - reach + 2 : 150].max() > 0


def test_the_picture_is_seen_no_further_than_the_windows() -> None:
    dit, conditions = network(), given(200)
    tracks = conditions.tracks_BLC.clone()
    tracks[0, 150:] += 1
    changed = velocity(dit, replace(conditions, tracks_BLC=tracks), latent(200))
    difference = (changed - velocity(dit, conditions, latent(200))).abs().amax(dim=-1)[0]
    assert difference[: 150 - 2 * round(25 * dit.config.window_s)].max() == 0
    assert difference[150:].min() > 0
