from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from triton_models.modeling.attention import rotate
from triton_models.modeling.audio.attention import second_angles
from triton_models.modeling.audio.cues import CONDITIONS
from triton_models.modeling.audio.dit import AudioBlock, AudioConditions, AudioDiT, AudioDiTConfig
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS, TOKEN_RATE_HZ
from triton_models.modeling.dit import Text

LATENTS = 75


def network() -> AudioDiT:
    """With its outermost layer switched on: it starts at zero, and nothing could be seen through it."""
    torch.manual_seed(0)
    dit = AudioDiT(AudioDiTConfig(width=48, depth=2)).eval()
    torch.nn.init.normal_(dit.latent_out.weight)
    for block in dit.blocks:
        assert isinstance(block, AudioBlock)
        torch.nn.init.normal_(block.cross.out.weight, std=0.3)
    return dit


def given(words: int = 7) -> AudioConditions:
    generator = torch.Generator().manual_seed(1)
    text = Text(torch.randn(1, words, 96, generator=generator), torch.ones(1, words, dtype=torch.bool))
    tracks = torch.rand(1, LATENTS, TOKEN_CHANNELS, generator=generator)
    return AudioConditions(text, tracks, (torch.arange(LATENTS) + 0.5) / TOKEN_RATE_HZ, torch.ones(1, len(CONDITIONS)))


def latent() -> torch.Tensor:
    return torch.randn(1, LATENTS, 64, generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def velocity(dit: AudioDiT, conditions: AudioConditions, noisy: torch.Tensor | None = None) -> torch.Tensor:
    noisy = latent() if noisy is None else noisy
    result: torch.Tensor = dit(noisy, torch.full((len(noisy),), 0.5), conditions)
    return result


def test_every_condition_is_listened_to() -> None:
    dit, conditions = network(), given()
    plain = velocity(dit, conditions)
    changed = {
        "tracks": replace(conditions, tracks_BVC=conditions.tracks_BVC * 0.5),
        "wishes": replace(conditions, wishes_BC=conditions.wishes_BC * 0),
        "text": replace(conditions, text=given(5).text),
    }
    for name, other in changed.items():
        assert not torch.allclose(plain, velocity(dit, other), atol=1e-3), name


def test_padding_of_the_text_changes_nothing() -> None:
    dit, conditions = network(), given()
    text = conditions.text
    padded = Text(
        torch.nn.functional.pad(text.embeddings_BKD, (0, 0, 0, 4), value=9.0),
        torch.nn.functional.pad(text.mask_BK, (0, 4)),
    )
    torch.testing.assert_close(velocity(dit, conditions), velocity(dit, replace(conditions, text=padded)))


def test_without_words_is_finite_and_keeps_picture_and_flags() -> None:
    bare = given().without_words()
    assert torch.isfinite(velocity(network(), bare)).all()
    assert bare.wishes_BC[0].tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert torch.equal(bare.tracks_BVC, given().tracks_BVC)


def test_guidance_as_one_batch_equals_two_calls() -> None:
    dit, conditions = network(), given()
    both = velocity(dit, conditions.stacked_on(conditions.without_words()), latent().repeat(2, 1, 1))
    separate = torch.cat([velocity(dit, conditions), velocity(dit, conditions.without_words())])
    torch.testing.assert_close(both, separate, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("place", [10, 40, 60])
def test_untrained_attention_looks_at_its_own_instant(place: int) -> None:
    attention = AudioBlock(AudioDiTConfig()).picture
    tokens = torch.randn(1, LATENTS, 96, generator=torch.Generator().manual_seed(3))
    seconds = (torch.arange(LATENTS) + 0.5) / TOKEN_RATE_HZ
    angles = second_angles(seconds, 24, 0.16, 40.0)
    with torch.inference_mode():
        queries, (keys, _) = rotate(attention.queries(tokens), angles), attention.keys_values(tokens)
        weights = (queries @ rotate(keys, angles).transpose(-1, -2) / 24**0.5).softmax(-1)
    near = weights[0, :, place, place - 1 : place + 2].sum(dim=-1)
    assert weights[0, :, place].argmax(dim=-1).tolist() == [place] * 4
    assert near.min() > 0.8


def test_a_token_sees_no_further_than_its_windows() -> None:
    dit, conditions = network(), given()
    other = latent()
    other[0, 70:] += 1
    difference = (velocity(dit, conditions, other) - velocity(dit, conditions)).abs().amax(dim=-1)[0]
    reach = 2 * round(25 * dit.config.window_s)
    assert difference[: 70 - reach].max() == 0
    assert difference[70 - reach + 2 : 70].max() > 0
