"""Says in words what should be heard: what captions of pictures never mention."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_SOUNDS = {
    "birds": ("birds singing", "birdsong", "chirping birds", "birds twittering", "a bird chirps", "songbirds",
              "birds in the trees"),
    "wind": ("wind blowing", "howling wind", "a soft breeze", "gusts of wind", "windy weather", "a strong wind",
             "wind in the air"),
    "waves": ("waves crashing", "the sound of the sea", "gentle surf", "waves lapping", "breaking waves",
              "ocean sounds", "water lapping on the shore"),
    "night": ("crickets", "crickets chirping", "cicadas at night", "night insects", "a quiet night with crickets",
              "sounds of the night"),
    "rain": ("rain", "rain falling", "heavy rain", "raindrops", "the patter of rain", "a downpour", "drizzle"),
    "city": ("traffic", "city noise", "distant traffic", "street sounds", "the hum of the city", "cars passing by",
             "a busy street"),
}  # fmt: skip
_BEFORE = ("", "", "with ", "the sound of ", "we hear ", "audio of ", "background of ")
_BETWEEN = (", ", ", ", " and ", ", with ", ", the sound of ", " while we hear ", ". sound: ", ", ambient ")


def sounding(names: Iterable[str], rng: np.random.Generator) -> str:
    """The ambiences `names`, each by one of its phrases."""
    return " and ".join(str(rng.choice(_SOUNDS[name])) for name in names)


def alone(names: Iterable[str], rng: np.random.Generator) -> str:
    """A prompt that names sounds and no picture."""
    return str(rng.choice(_BEFORE)) + sounding(names, rng)


def beside(caption: str, names: Iterable[str], rng: np.random.Generator) -> str:
    """A caption of a picture that goes on to name sounds."""
    return caption + str(rng.choice(_BETWEEN)) + sounding(names, rng)
