from __future__ import annotations

import pytest

from triton_models.modeling.speech.quotes import CHILD, MAN, WOMAN, spoken_text, voice_of


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ('A man says "Good morning!"', "Good morning!"),
        ("a cartoon face saying hello in a garden", "hello"),
        ("a woman saying 'it's late' at night", "it's late"),
        ("She says “guten Tag” to us", "guten Tag"),
        ('He says "hi" then she says "bye"', "hi. bye."),
        ("a child says the word banana, smiling", "banana"),
        ("a man says tomorrow over blue water", "tomorrow"),
        ("a woman saying welcome at night", "welcome"),
        ("a child saying goodbye in outer space, 4k", "goodbye"),
        ("a talking face speaking the word river, smooth motion", "river"),
        ("a cartoon face that says: good morning everybody", "good morning everybody"),
        ("an old man saying goodbye to the camera", "goodbye"),
        ("speaker saying that water is blue while waving", "water is blue"),
        ("a face saying one two three four five six seven eight nine ten", "one two three four five six seven eight"),
    ],
)
def test_what_is_said(prompt: str, said: str) -> None:
    assert spoken_text(prompt) == said


@pytest.mark.parametrize(
    "prompt",
    ["A serene lake at sunset", "a ball rolls without saying a word", "a face saying nothing", 'a sign that reads ""',
     "a sign with a cat's paw and a dog's tail", ""],
)  # fmt: skip
def test_nothing_to_say(prompt: str) -> None:
    assert spoken_text(prompt) == ""


@pytest.mark.parametrize(
    ("prompt", "voice"),
    [("a man says hi", MAN), ("an old woman and a man", WOMAN), ("a boy says yes", CHILD), ("his mother", MAN)],
)
def test_the_prompt_names_the_voice(prompt: str, voice: int) -> None:
    assert voice_of(prompt, 0) == voice


def test_else_the_seed_draws_it() -> None:
    drawn = [voice_of("a face says hi", seed) for seed in range(30)]
    assert set(drawn) == {MAN, WOMAN, CHILD}
    assert drawn == [voice_of("a face says hi", seed) for seed in range(30)]
