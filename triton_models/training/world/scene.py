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
LANDSCAPES = ("lake", "ocean", "rain", "stars", "snowfall")
AMBIENCES = ("birds", "wind", "waves", "night", "rain")

EVENT_RATE_HZ = 50.0
"""Samples per second of the tracks in `SceneEvents`."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The one moving object of a scene."""

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


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip: a backdrop with an actor, or a landscape without one."""

    place: str
    """One of BACKDROPS when there is an actor, one of LANDSCAPES when there is none."""
    actor: Actor | None
    seed: int
    """Seeds the details that words do not name: tint, stars, drops."""


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
class SceneEvents:
    """Everything in a clip that makes sound."""

    duration_s: float
    impacts: tuple[Impact, ...]
    """In order of time."""
    motion_energy: NDArray[np.float32]
    """[round(duration_s * EVENT_RATE_HZ)] speed of the object, 0 to 1."""
    pan: NDArray[np.float32]
    """[same length] where the object is, -1 left to 1 right."""
    motion_sound: str
    """"roll" for an object rolling on the ground, "whoosh" for one that moves through the air, "none"."""
    ambience: tuple[str, ...]
    """Names from AMBIENCES."""
