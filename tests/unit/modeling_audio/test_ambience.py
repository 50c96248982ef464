from __future__ import annotations

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.ambience import AmbienceReader, AmbienceReaderConfig
from triton_models.modeling.audio.cues import AMBIENCES
from triton_models.modeling.dit import Text
from triton_models.modeling.reference import load_text_encoder
from triton_models.training.audio.ambience import asked, batch
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.audio.phrases import alone, amid, beside


def reader() -> AmbienceReader:
    torch.manual_seed(0)
    return AmbienceReader(AmbienceReaderConfig()).eval()


def test_padding_of_the_text_changes_nothing() -> None:
    embeddings, mask = torch.randn(1, 6, 96), torch.ones(1, 6, dtype=torch.bool)
    padded = Text(torch.nn.functional.pad(embeddings, (0, 0, 0, 4), value=9.0), torch.nn.functional.pad(mask, (0, 4)))
    torch.testing.assert_close(reader()(Text(embeddings, mask)), reader()(padded))


def test_names_are_those_with_positive_logits() -> None:
    untrained, text = reader(), Text(torch.randn(1, 4, 96), torch.ones(1, 4, dtype=torch.bool))
    with torch.no_grad():
        untrained.decide[-1].weight.zero_()  # type: ignore[operator]
        untrained.decide[-1].bias.copy_(torch.tensor([1.0, -1, -1, 1, -1, -1]))  # type: ignore[operator]
    assert untrained.names(text) == ("birds", "night")


def test_prompts_repeat_and_name_known_ambiences() -> None:
    assert asked(3) == asked(3)
    seen = [asked(seed) for seed in range(300)]
    assert {name for _, names in seen for name in names} == set(AMBIENCES)
    assert all(prompt for prompt, _ in seen)


@pytest.mark.parametrize("name", AMBIENCES)
def test_phrases_are_said_alone_and_beside_a_caption(name: str) -> None:
    phrase = alone((name,), np.random.default_rng(1))
    said = beside("a red ball", (name,), np.random.default_rng(1))
    assert phrase
    assert said.startswith("a red ball")
    assert len(said) > len("a red ball")


def test_sounds_are_named_amid_words_at_large() -> None:
    rng = np.random.default_rng(2)
    said = [amid(("rain",), rng) for _ in range(40)]
    assert len(set(said)) == 40
    assert any("pouring rain" in text for text in said)
    assert all("rain" not in amid((), rng) for _ in range(40))


def test_a_few_steps_already_teach_something() -> None:
    network, encoder = reader().train(), load_text_encoder(REFERENCE)
    text, wanted = batch(encoder, list(range(64)))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(50):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(text), wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
