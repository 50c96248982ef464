import pytest
import torch

from triton_models.modeling.text import TextConfig, TextEncoder, collate, grams_of, tokenize, words_of

CONFIG = TextConfig(width=16, depth=1, heads=2, max_words=6)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("A Red  ball,\tbouncing!", ["a", "red", "ball", "bouncing"]),
        ("ＦＵＬＬ width", ["full", "width"]),
        ("snow-white_fox 4k", ["snow", "white", "fox", "4k"]),
        ("Straße 球", ["strasse", "球"]),
        ("…!?", []),
    ],
)
def test_words(prompt: str, words: list[str]) -> None:
    assert words_of(prompt) == words


def test_grams() -> None:
    assert grams_of("red") == ["<red>", "<re", "red", "ed>"]
    assert grams_of("") == ["<>"]


def test_tokens_are_stable_and_share_parts() -> None:
    ball, balls = tokenize("ball balls", CONFIG)
    assert ball[:4].tolist() == tokenize("BALL", CONFIG)[0, :4].tolist() == [2516, 695, 354, 928]
    assert len(set(ball.tolist()) & set(balls.tolist()) - {0}) >= 3


def test_long_and_empty_prompts_fit() -> None:
    assert tokenize("word " * 500, CONFIG).shape == (6, 12)
    assert tokenize("", CONFIG).shape == (1, 12)


def test_a_prompt_encodes_alike_alone_and_in_a_batch() -> None:
    encoder = TextEncoder(CONFIG).eval()
    prompts = ["a red ball", "zxqv", "one two three four five six seven"]
    embeddings, mask = encoder(collate([tokenize(prompt, CONFIG) for prompt in prompts]))
    for row, prompt in enumerate(prompts):
        alone = encoder.encode(prompt)
        assert alone.mask.all()
        torch.testing.assert_close(embeddings[row][mask[row]], alone.embeddings, atol=1e-5, rtol=1e-5)
    assert torch.equal(encoder.encode("zxqv").embeddings, encoder.encode("zxqv").embeddings)
