import pytest
import torch

from triton_models.modeling.attention import TemporalMode
from triton_models.modeling.dit import DiTConfig, Text, VideoDiT, patchify, unpatchify
from triton_models.modeling.guidance import guided_velocity
from triton_models.modeling.shapes import TokenGrid

CONFIG = DiTConfig(width=32, depth=2, heads=2, text_width=12, summary_tokens=3)


@pytest.fixture
def dit() -> VideoDiT:
    """A small transformer whose zero-initialised layers have been moved, so that every path matters."""
    torch.manual_seed(3)
    network = VideoDiT(CONFIG)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval().requires_grad_(requires_grad=False)


def make_text(tokens: int = 7, batch: int = 1) -> Text:
    return Text(torch.randn(batch, tokens, 12), torch.ones(batch, tokens, dtype=torch.bool))


def test_patches_round_trip() -> None:
    latent = torch.randn(2, 3, 4, 6, 16)
    patches = patchify(latent)
    assert patches.shape == (2, 3, 6, 64)
    assert torch.equal(unpatchify(patches, TokenGrid(3, 2, 3)), latent)


def test_an_untrained_transformer_predicts_nothing() -> None:
    velocity = VideoDiT(CONFIG)(torch.randn(1, 2, 4, 4, 16), torch.tensor([0.5]), make_text())
    assert torch.equal(velocity, torch.zeros_like(velocity))


@pytest.mark.parametrize("shape", [(1, 1, 2, 2, 16), (2, 5, 4, 6, 16), (1, 3, 8, 2, 16)])
def test_velocity_has_the_latents_shape(dit: VideoDiT, shape: tuple[int, ...]) -> None:
    velocity = dit(torch.randn(shape), torch.full(shape[:1], 0.7), make_text(batch=shape[0]))
    assert velocity.shape == shape
    assert velocity.dtype == torch.float32


def test_padding_of_the_text_changes_nothing(dit: VideoDiT) -> None:
    latent, t, text = torch.randn(1, 2, 4, 4, 16), torch.tensor([0.4]), make_text()
    padded = Text(
        torch.cat((text.embeddings_BKD, torch.randn(1, 4, 12)), 1),
        torch.cat((text.mask_BK, torch.zeros(1, 4, dtype=torch.bool)), 1),
    )
    torch.testing.assert_close(dit(latent, t, padded), dit(latent, t, text), atol=1e-5, rtol=1e-5)


def test_text_time_and_place_matter(dit: VideoDiT) -> None:
    latent = torch.randn(1, 2, 2, 2, 16).expand(1, 2, 2, 2, 16).repeat(1, 1, 2, 2, 1)
    text = make_text()
    base = dit(latent, torch.tensor([0.4]), text)
    assert not torch.allclose(base, dit(latent, torch.tensor([0.6]), text))
    assert not torch.allclose(base, dit(latent, torch.tensor([0.4]), make_text()))
    assert not torch.allclose(base[:, :, :2], base[:, :, 2:]), "equal patches in other places look the same"


def test_causal_mode_hides_the_future(dit: VideoDiT) -> None:
    latent, t, text = torch.randn(1, 6, 4, 4, 16), torch.tensor([0.4]), make_text()
    changed = latent.clone()
    changed[:, 4:] += 1
    mode = TemporalMode(kind="causal")
    torch.testing.assert_close(dit(latent, t, text, mode)[:, :4], dit(changed, t, text, mode)[:, :4])


@pytest.mark.parametrize("tokens", [2, 7])
def test_one_batch_of_two_is_two_passes(dit: VideoDiT, tokens: int) -> None:
    latent, text = torch.randn(1, 2, 4, 4, 16), make_text(tokens + 3)
    t = torch.tensor([0.4])
    conditional, unconditional = dit(latent, t, text), dit(latent, t, dit.null_text(1, 3))
    expected = unconditional + 2.5 * (conditional - unconditional)
    torch.testing.assert_close(guided_velocity(dit, text, 2.5)(latent, 0.4), expected, atol=1e-5, rtol=1e-4)


def test_scale_one_is_one_pass(dit: VideoDiT) -> None:
    latent, text = torch.randn(1, 2, 4, 4, 16), make_text()
    assert torch.equal(guided_velocity(dit, text, 1)(latent, 0.4), dit(latent, torch.tensor([0.4]), text))


def test_a_negative_prompt_takes_the_place_of_the_null_text(dit: VideoDiT) -> None:
    latent, text, negative = torch.randn(1, 2, 4, 4, 16), make_text(), make_text(4)
    t = torch.tensor([0.4])
    against = dit(latent, t, negative)
    expected = against + 3 * (dit(latent, t, text) - against)
    torch.testing.assert_close(guided_velocity(dit, text, 3, negative)(latent, 0.4), expected, atol=1e-5, rtol=1e-4)


def test_the_size_of_the_source() -> None:
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in VideoDiT(DiTConfig.source()).parameters())
    assert 9.4e9 < parameters < 9.7e9
