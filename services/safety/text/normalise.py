"""Undoes what people do to words to get them past a filter.

A prompt becomes a few readings of lower-case words and single spaces; a rule that matches any of them matches it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Letters of other scripts that look like Latin ones (after case folding and without marks).
_LOOKALIKES = (
    "аa вb еe кk мm нh оo рp сc тt уy хx іi јj ѕs ԁd гr пn ԛq ԝw ьb һh ӏl "
    "αa βb εe ιi κk νv οo ρp τt υu χx γy ωw ηn μu σo "
    "օo սu հh ոn ցg ℓl ıi ɑa ɡg ʟl ɴn ʀr ɪi ʏy øo łl đd ſs"
)
_HOMOGLYPHS = str.maketrans({pair[0]: pair[1] for pair in _LOOKALIKES.split()})
_LEET = str.maketrans("013457@$!|€+8", "oieastasiletb")
_LEET_L = str.maketrans("1!|", "lll")
_LEET_SIGNS = "013457@$!|€+8"
_TOKEN = re.compile(r"\S+")
_EDGE = ".,;:!?\"'()[]{}<>*_~-"
_SEPARATOR = re.compile(r"[\W_]+")
_LONG_RUN = re.compile(r"([a-z])\1{2,}")
_SPACED = re.compile(r"\b(?:[a-z] ){2,}[a-z]\b")
_SPACED_AFTER_A_WORD = re.compile(r"(?<=\b[ai] )(?:[a-z] ){2,}[a-z]\b")


def readings(text: str) -> list[str]:
    """Returns the distinct readings of a text, the plainest first."""
    folded = fold(text)
    bases = [folded, _unleet(folded), _unleet(folded.translate(_LEET_L))]
    return list(dict.fromkeys(reading for base in bases for reading in _spellings(base)))


def fold(text: str) -> str:
    """Applies NFKC, lower case and the homoglyph map; drops marks and invisible characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    apart = unicodedata.normalize("NFD", folded)
    visible = "".join(char for char in apart if unicodedata.category(char) not in {"Mn", "Me", "Cf"})
    return visible.translate(_HOMOGLYPHS)


def words(folded: str) -> str:
    """Replaces whatever separates words by single spaces."""
    return _SEPARATOR.sub(" ", folded).strip()


def _unleet(folded: str) -> str:
    """Reads digits and signs as letters where they stand beside letters; "24 fps" and "kill!" stay as they are."""

    def read(match: re.Match[str]) -> str:
        token = match.group().strip(_EDGE)
        mixed = any(char.isalpha() for char in token) and any(char in _LEET_SIGNS for char in token)
        return token.translate(_LEET) if mixed else match.group()

    return _TOKEN.sub(read, folded)


def _spellings(base: str) -> Iterator[str]:
    plain = words(base)
    yield plain
    # "a" and "i" may be the first letter of a spaced word, or words before it.
    for spaced in (_SPACED, _SPACED_AFTER_A_WORD):
        yield spaced.sub(lambda match: match.group().replace(" ", ""), plain)
    for kept in (r"\1", r"\1\1"):
        yield _LONG_RUN.sub(kept, plain)
