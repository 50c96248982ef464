from __future__ import annotations

import pytest

from triton_models.modeling.speech.letters import LETTERS
from triton_models.modeling.speech.reading import PAUSE, number_words, sentences


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Hello, world! It's late.", [["hello", ",", "world"], ["it's", "late"]]),
        ("3.5 degrees", [["three", "point", "five", "degrees"]]),
        ("naïve café", [["naive", "cafe"]]),
        ("TV & BBC", [["tea", "vee", "and", "bee", "bee", "see"]]),
        ("I have a b", [["i", "have", "a", "bee"]]),
        ("Привет, you", [["you"]]),
        ("don’t — really — go", [["don't", ",", "really", ",", "go"]]),
        ("...!?", []),
        ("", []),
    ],
)
def test_text_as_it_is_read(text: str, read: list[list[str]]) -> None:
    assert sentences(text) == read


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"), ("13", "thirteen"), ("42", "forty two"), ("100", "one hundred"),
        ("1,204", "one thousand two hundred four"), ("2000000", "two million"), ("0.05", "zero point zero five"),
        ("1234567890", "one two three four five six seven eight nine zero"),
    ],
)  # fmt: skip
def test_numbers(digits: str, words: str) -> None:
    assert " ".join(number_words(digits)) == words


def test_every_word_is_of_known_letters() -> None:
    text = "Ünïcödé 99% @home $5 + 3 = x² — “so-called” O'Neil's #1 1/2 ﬁne straße ½ 中文 🎉 A-B"
    for words in sentences(text):
        assert all(word == PAUSE or set(word) <= set(LETTERS) for word in words)
