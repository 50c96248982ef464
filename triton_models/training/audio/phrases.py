"""Says in words what should be heard: what captions of pictures never mention."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from triton_models.training.speech.words import dictionary

_SOUNDS = {
    "birds": ("birds singing", "birdsong", "chirping birds", "birds twittering", "a bird chirps", "songbirds",
              "birds in the trees", "bird calls", "a robin sings", "birds tweet", "the song of a blackbird"),
    "wind": ("wind blowing", "howling wind", "a soft breeze", "gusts of wind", "windy weather", "a strong wind",
             "wind in the air", "the wind howls", "it is windy", "a stiff breeze", "the rush of the wind", "a gale"),
    "waves": ("waves crashing", "the sound of the sea", "gentle surf", "waves lapping", "breaking waves",
              "ocean sounds", "water lapping on the shore", "surf", "the surf on a beach", "the tide", "a swell",
              "waves rolling in"),
    "night": ("crickets", "crickets chirping", "cicadas at night", "night insects", "a quiet night with crickets",
              "sounds of the night", "a cricket", "insects in the dark", "buzzing insects at night"),
    "rain": ("rain", "rain falling", "heavy rain", "raindrops", "the patter of rain", "a downpour", "drizzle",
             "pouring rain", "it is pouring", "it rains", "rain drumming on a roof", "showers", "a rainstorm"),
    "city": ("traffic", "city noise", "distant traffic", "street sounds", "the hum of the city", "cars passing by",
             "a busy street", "car horns", "road noise", "cars", "urban noise", "engines and horns"),
}  # fmt: skip
_BEFORE = ("", "", "with ", "the sound of ", "we hear ", "audio of ", "background of ")
_BETWEEN = (", ", ", ", " and ", ", with ", ", the sound of ", " while we hear ", ". sound: ", ", ambient ")
_JOINTS = (" ", " in the ", " over the ", " of a ", " on a ", " at the ", " through ", " with ")
_COMMON = -11.0
"""Log frequency from which a word is common."""


@cache
def _common_words() -> list[str]:
    return [word.text for word in dictionary() if word.log_frequency > _COMMON]


def sounding(names: Iterable[str], rng: np.random.Generator) -> str:
    """The ambiences `names`, each by one of its phrases."""
    return " and ".join(str(rng.choice(_SOUNDS[name])) for name in names)


def alone(names: Iterable[str], rng: np.random.Generator) -> str:
    """A prompt that names sounds and no picture."""
    return str(rng.choice(_BEFORE)) + sounding(names, rng)


def beside(caption: str, names: Iterable[str], rng: np.random.Generator) -> str:
    """A caption of a picture that goes on to name sounds."""
    return caption + str(rng.choice(_BETWEEN)) + sounding(names, rng)


def amid(names: Iterable[str], rng: np.random.Generator) -> str:
    """The ambiences amid words that say nothing of sound: most of a person's words are new to the text encoder."""
    before, after = (" ".join(rng.choice(_common_words(), rng.integers(least, 4))) for least in (0, 1))
    return f"{before} {sounding(names, rng)}{rng.choice(_JOINTS)}{after}".strip()
