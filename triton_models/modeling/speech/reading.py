"""Text as it is read out: sentences of plain words.

Numbers are spelled out, accents dropped, unpronounceable abbreviations spelled by their letters; words of other
scripts are left out.
"""

from __future__ import annotations

import re
import unicodedata

PAUSE = ","
"""Stands between words where the voice rests."""

_LETTER_NAMES = (
    "ay", "bee", "see", "dee", "ee", "eff", "gee", "aitch", "eye", "jay", "kay", "el", "em", "en", "oh",
    "pea", "cue", "are", "ess", "tea", "you", "vee", "doubleyou", "ex", "why", "zee",
)  # fmt: skip
_SIGNS = {
    "&": " and ",
    "%": " percent ",
    "+": " plus ",
    "=": " equals ",
    "@": " at ",
    "$": " dollars ",
    "°": " degrees ",
}
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((1_000_000, "million"), (1000, "thousand"), (100, "hundred"))
_MOST_DIGITS = 9


def sentences(text: str) -> list[list[str]]:
    """Sentences of lower-case words of a to z and the apostrophe, with PAUSE between some; no empty ones."""
    plain = _plain(text)
    read = [_words(sentence) for sentence in re.split(r"(?<=[^\d])[.!?…]+|[.!?…]+(?=\s|$)|\n", plain)]
    return [words for words in read if any(word != PAUSE for word in words)]


def _plain(text: str) -> str:
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    text = re.sub(r"[’‘`´]", "'", text)
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _words(sentence: str) -> list[str]:
    words: list[str] = []
    for token in re.findall(r"\d[\d,]*(?:\.\d+)?|[A-Za-z]+(?:'[A-Za-z]+)*|[,;:()]|\s[-–—]\s|—", sentence):
        if token[0].isdigit():
            words += number_words(token)
        elif token[0].isalpha():
            words += _spelled_out(token)
        elif words and words[-1] != PAUSE:
            words.append(PAUSE)
    return words[:-1] if words and words[-1] == PAUSE else words


def _spelled_out(token: str) -> list[str]:
    """An abbreviation in capitals without a vowel is read letter by letter; so is a lone letter but for "a" and "I"."""
    lower = token.lower()
    if (token.isupper() and not set(lower) & set("aeiouy")) or (len(lower) == 1 and lower not in "ai"):
        return [_LETTER_NAMES[ord(letter) - ord("a")] for letter in lower if letter != "'"]
    return [lower]


def number_words(digits: str) -> list[str]:
    """A number such as 1,204.5 as words; numbers too long for a name are read digit by digit."""
    whole, _, fraction = digits.replace(",", "").partition(".")
    words = _cardinal(int(whole)) if len(whole) <= _MOST_DIGITS else [_ONES[int(digit)] for digit in whole]
    return words + (["point", *(_ONES[int(digit)] for digit in fraction)] if fraction else [])


def _cardinal(value: int) -> list[str]:
    for scale, name in _SCALES:
        if value >= scale:
            rest = value % scale
            return [*_cardinal(value // scale), name, *(_cardinal(rest) if rest else [])]
    if value >= 20:
        return [_TENS[value // 10 - 2], *([_ONES[value % 10]] if value % 10 else [])]
    return [_ONES[value]]
