"""What a clip of the rendered world shows and what can be heard in it.

A `Scene` is resolution-free: the renderer draws it at any size and rate, the grammar describes it in words, and
`events` (in `motion.py`) lists what makes sound. Lengths are in units of the frame's shorter side, x to the right, y
downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHAPES = ("ball", "square", "triangle", "star")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "pink", "white")
SIZES = ("small", "medium", "big")
MOTIONS = ("bounce", "left", "right", "up", "down", "roll", "fall", "orbit", "grow", "still")
BACKDROPS = ("grass", "sand", "sea", "night", "sunset", "snow", "grey", "black")
LANDSCAPES = ("lake", "ocean", "desert", "forest", "meadow", "mountains", "city")
"""Wide views without an object. "ocean" is the open sea; the backdrop "sea" is calm water behind an object."""
TIMES = ("sunrise", "noon", "sunset", "night")
WEATHERS = ("clear", "rain", "snow", "fog")
CAMERAS = ("still", "pan", "zoom")
SPEAKERS = ("man", "woman", "child")
"""In the order of the voices of `speech.utterance`."""
HAIR = ("black", "brown", "blond", "red")
WORDS = (
    "hello", "yes", "no", "red", "blue", "water", "morning", "goodbye", "thanks", "please", "music", "banana",
    "sunshine", "moon", "fire", "apple", "river", "mountain", "tomorrow", "welcome", "open", "happy", "purple",
    "everybody",
)  # fmt: skip
"""What the face can say: clear words that sound and look different."""
AMBIENCES = ("birds", "wind", "waves", "night", "rain", "city")
"""Sounds of places and weathers; "night" is crickets."""

EVENT_RATE_HZ = 50.0
"""Samples per second of the tracks in `SceneEvents`."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A moving object."""

    shape: str
    """One of SHAPES."""
    colour: str
    """One of COLOURS."""
    size: str
    """One of SIZES."""
    motion: str
    """One of MOTIONS."""
    period_s: float
    """Time of one bounce, orbit, or crossing of the frame."""
    phase: float
    """Where in its period the motion starts, 0 to 1."""
    offset: float
    """Small displacement across the motion, -1 to 1, so that clips of one caption differ."""
    home: tuple[float, float] = (0.5, 0.5)
    """Where the motion has its middle, in shares of the frame's width and height; two objects have each their own."""


@dataclass(frozen=True, slots=True)
class Face:
    """A cartoon face that says one word."""

    word: str
    """One of WORDS."""
    speaker: str
    """One of SPEAKERS."""
    hair: str
    """One of HAIR."""
    skin: float
    """0 light to 1 dark."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip: one or two objects or a talking face before a backdrop, or a landscape."""

    place: str
    """One of LANDSCAPES when there is neither object nor face, else one of BACKDROPS."""
    actors: tuple[Actor, ...]
    """None, one or two; of two the first is the left or the upper one."""
    seed: int
    """Seeds the details that words do not name: tint, stars, ridges, trees."""
    time: str = "noon"
    """One of TIMES. Backdrops have a time of their own and do not heed it."""
    weather: str = "clear"
    """One of WEATHERS."""
    camera: str = "still"
    """One of CAMERAS; backdrops are always seen by a still camera."""
    face: Face | None = None

    @property
    def actor(self) -> Actor | None:
        """The first object, if there is one."""
        return self.actors[0] if self.actors else None

    @property
    def begins(self) -> bool:
        """Whether the clip has to be shown from its start, since something in it happens once."""
        once = any(actor.motion in {"fall", "grow"} for actor in self.actors)
        return once or self.face is not None or self.camera == "zoom"


@dataclass(frozen=True, slots=True)
class Impact:
    """An object hitting the ground."""

    time_s: float
    """Seconds from the start of the clip."""
    strength: float
    """Speed of the hit, 0 to 1, where 1 is the hardest in the world."""
    radius: float
    """Of the object, in shorter sides of the frame (0.1 to 0.25): small sounds high."""
    pan: float
    """-1 left edge of the frame, 1 right edge."""
    surface: str
    """The scene's place, e.g. grass, sand, snow, grey (a hard floor)."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A word being said."""

    word: str
    voice: int
    """Index into SPEAKERS and `speech.VOICES`."""
    start_s: float
    """Seconds from the start of the clip; negative if it began before."""


@dataclass(frozen=True, slots=True)
class SceneEvents:
    """Everything in a clip that makes sound."""

    duration_s: float
    impacts: tuple[Impact, ...]
    """In order of time."""
    motion_energy: NDArray[np.float32]
    """[round(duration_s * EVENT_RATE_HZ)] speed of the object, 0 to 1; of two objects the faster at each instant."""
    pan: NDArray[np.float32]
    """[same length] where that object is, -1 left to 1 right."""
    motion_sound: str
    """"roll" for an object rolling on the ground, "whoosh" for one that moves through the air, "tone" for one that only
    grows, "none"."""
    ambience: tuple[str, ...]
    """Names from AMBIENCES."""
    speech: tuple[Speech, ...] = ()
    """What is said, in order of time."""
    growth: NDArray[np.float32] | None = None
    """[same length] radius of a growing object in shorter sides while it grows, else 0; None without one."""
