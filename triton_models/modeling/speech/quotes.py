"""What a prompt wants said, and by whom.

spoken_text('A man says "Good morning!"')  ->  "Good morning!"
spoken_text("a cartoon face saying hello in a garden")  ->  "hello"
"""

from __future__ import annotations

import re

import numpy as np

VOICES = ("man", "woman", "child")
MAN, WOMAN, CHILD = range(len(VOICES))

_MOST_CHARACTERS = 600
_MOST_BARE_WORDS = 8
"""Words taken after "says" without quotation marks: a longer clause is more likely about the scene."""

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|(?<![\w'])'((?:[^']|(?<=\w)'(?=\w))+)'(?!\w)")
_SAYING = re.compile(
    r"(?<!without )(?<!not )(?<!never )"
    r"\b(?:says?|saying|speaks|speaking|shouts?|shouting|whispers?|whispering|announces|utters)\b"
    r"(?: (?:out loud|aloud|the words?))?[:,]?\s+(?P<what>[^.;!?,\n:]+[!?]?)",
    re.IGNORECASE,
)
_SCENE_GOES_ON = re.compile(
    r"\s+(?:"
    r"(?:in|on|at|by|near|under|over|with|against|before|behind|beside|inside|from|to) (?:the|a|an|his|her|their)|"
    r"in front of|while|as|and (?:smil|wav|walk|look|nod)\w*|slowly|loudly|softly|quietly|clearly|cheerfully|happily|"
    r"indoors|outdoors|outside|(?:in|with) \w+ (?:voice|light|style|background)|"
    r"(?:in|on|over|under|above|across|against|at) (?:\w+ ){0,2}?"
    r"(?:night|midnight|noon|sunrise|sunset|dawn|dusk|evening|winter|grass|lawn|field|meadow|sand|beach|dunes|water|sea|ocean|snow|ice|rain|sky|space|dark|black|background))\b.*",
    re.IGNORECASE,
)
_NOTHING = {"", "nothing", "something", "anything", "it", "a word", "words", "softly", "loudly", "slowly"}
_WHO = {
    WOMAN: r"wom[ae]n|lady|ladies|girl|mother|sister|queen|she|her|female|actress",
    CHILD: r"child|children|kid|kids|boy|baby|toddler",
    MAN: r"m[ae]n|guy|gentleman|father|brother|king|he|his|male|actor|robot",
}


def spoken_text(prompt: str) -> str:
    """Everything in quotation marks, else what follows the first "says" or "saying"; "" when nothing is to be said."""
    quoted = [" ".join("".join(groups).split()) for groups in _QUOTED.findall(prompt)]
    said = [text if text[-1] in ".!?" else f"{text}." for text in quoted if re.search(r"\w", text)]
    text = " ".join(said) if len(said) > 1 else (said[0].rstrip(".") if said else _after_saying(prompt))
    return text[:_MOST_CHARACTERS]


def voice_of(prompt: str, seed: int) -> int:
    """MAN, WOMAN or CHILD: whoever the prompt names first, else drawn by the seed."""
    found = {voice: re.search(rf"\b(?:{words})\b", prompt, re.IGNORECASE) for voice, words in _WHO.items()}
    places = {voice: match.start() for voice, match in found.items() if match}
    if places:
        return min(places, key=lambda voice: places[voice])
    return int(np.random.default_rng([seed, len(VOICES)]).integers(len(VOICES)))


def _after_saying(prompt: str) -> str:
    match = _SAYING.search(prompt)
    if match is None:
        return ""
    text = _SCENE_GOES_ON.sub("", match["what"]).strip()
    text = re.sub(r"^that\s+", "", text, flags=re.IGNORECASE)
    words = text.split()[:_MOST_BARE_WORDS]
    return "" if " ".join(words).casefold() in _NOTHING else " ".join(words)
