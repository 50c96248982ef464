"""Where the actor of a scene is at each instant, and the events that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scene import EVENT_RATE_HZ, Actor, Impact, Scene, SceneEvents

Track1D = NDArray[np.float64]

RADIUS = {"small": 0.12, "medium": 0.165, "big": 0.21}
HORIZON = 0.58
"""Height of the horizon as a share of the frame's height."""
GROUND = 0.86
"""Height at which objects touch the ground."""

_FALL_S = 1.3
_RESTITUTION = 0.45
_GROW_S = 5.0
_FASTEST = 2.0
"""Shorter sides per second that count as motion energy 1."""
_PLACE_AMBIENCE = {
    "grass": ("birds",),
    "sand": ("wind",),
    "sea": ("waves",),
    "night": ("night",),
    "snow": ("wind",),
    "lake": ("waves", "birds"),
    "ocean": ("waves", "wind"),
    "rain": ("rain",),
    "stars": ("night",),
    "snowfall": ("wind",),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """Extent of the picture in shorter sides."""

    width: float
    height: float

    @classmethod
    def from_pixels(cls, width: int, height: int) -> Frame:
        """Returns the extent of a width x height picture."""
        shorter = min(width, height)
        return cls(width / shorter, height / shorter)


@dataclass(frozen=True, slots=True)
class Track:
    """Position of the actor at each of n instants, in shorter sides; angle in radians."""

    x: Track1D
    y: Track1D
    radius: Track1D
    angle: Track1D
    impacts: tuple[tuple[float, float], ...]
    """(time, strength) of each hit on the ground."""


def trajectory(actor: Actor, times: Track1D, frame: Frame) -> Track:
    """Returns where `actor` is at `times` seconds; every motion but fall and grow goes on for ever."""
    radius = np.full_like(times, RADIUS[actor.size])
    middle = np.full_like(times, 0.5)
    wobble = 0.08 * actor.offset
    x, y = (middle + wobble) * frame.width, middle * frame.height
    angle = np.zeros_like(times)
    impacts: tuple[tuple[float, float], ...] = ()
    cycle = actor.phase + times / actor.period_s
    wrapped = cycle % 1.0
    floor = GROUND * frame.height - radius
    match actor.motion:
        case "bounce":
            height = min(0.56, 0.8 * frame.height - 2 * RADIUS[actor.size])
            y = floor - height * 4 * wrapped * (1 - wrapped)
            impacts = _bounce_times(actor, times)
        case "left" | "right":
            share = wrapped if actor.motion == "right" else 1 - wrapped
            x = share * (frame.width + 2 * radius) - radius
            y = (middle + wobble) * frame.height
        case "up" | "down":
            share = wrapped if actor.motion == "down" else 1 - wrapped
            y = share * (frame.height + 2 * radius) - radius
        case "roll":
            x, y = wrapped * (frame.width + 2 * radius) - radius, floor
            angle = times / actor.period_s * (frame.width + 2 * radius) / radius
        case "fall":
            y, impacts = _fall(times, radius, floor)
        case "orbit":
            x = 0.5 * frame.width + 0.27 * np.cos(2 * np.pi * cycle)
            y = 0.5 * frame.height + 0.27 * np.sin(2 * np.pi * cycle)
        case "grow":
            radius = 0.08 + 0.24 * np.clip(times / _GROW_S, 0, 1)
        case _:
            y = floor
    return Track(x, y, radius, angle, impacts)


def _bounce_times(actor: Actor, times: Track1D) -> tuple[tuple[float, float], ...]:
    first = (1 - actor.phase) % 1 * actor.period_s
    strength = min(1.0, 1.15 / actor.period_s)
    return tuple((float(at), strength) for at in np.arange(first, times[-1] + 1e-9, actor.period_s))


def _fall(times: Track1D, radius: Track1D, floor: Track1D) -> tuple[Track1D, tuple[tuple[float, float], ...]]:
    """Drops from above the frame, rebounds twice with less and less height, then rests."""
    drop = floor + radius
    y = floor - drop * (1 - np.minimum(times / _FALL_S, 1) ** 2)
    impacts = [(_FALL_S, 1.0)]
    start, strength = _FALL_S, 1.0
    for _ in range(2):
        strength *= _RESTITUTION
        flight = 2 * _FALL_S * strength
        share = np.clip((times - start) / flight, 0, 1)
        y = y - drop * strength**2 * 4 * share * (1 - share)
        start += flight
        impacts.append((start, strength))
    return y, tuple(hit for hit in impacts if hit[0] <= times[-1])


def events(scene: Scene, duration_s: float, frame: Frame, start_s: float = 0.0) -> SceneEvents:
    """Returns what can be heard between `start_s` and `start_s + duration_s` of the scene."""
    times = start_s + np.arange(round(duration_s * EVENT_RATE_HZ)) / EVENT_RATE_HZ
    ambience = _PLACE_AMBIENCE.get(scene.place, ())
    if scene.actor is None:
        still = np.zeros(len(times), np.float32)
        return SceneEvents(duration_s, (), still, still, "none", ambience)
    track = trajectory(scene.actor, times, frame)
    speed = _speed(track) / _FASTEST
    pan = np.clip(2 * track.x / frame.width - 1, -1, 1)
    impacts = tuple(
        Impact(
            time_s=at - start_s,
            strength=strength,
            radius=float(np.interp(at, times, track.radius)),
            pan=float(np.interp(at, times, pan)),
            surface=scene.place,
        )
        for at, strength in track.impacts
        if at >= start_s
    )
    energy = np.clip(speed, 0, 1).astype(np.float32)
    return SceneEvents(duration_s, impacts, energy, pan.astype(np.float32), _motion_sound(scene.actor), ambience)


def _speed(track: Track) -> Track1D:
    """Shorter sides per second; the jump of a wrap is not motion."""
    step = np.hypot(np.gradient(track.x), np.gradient(track.y))
    step[step > 0.25] = 0.0
    speed: Track1D = step * EVENT_RATE_HZ
    return speed


def _motion_sound(actor: Actor) -> str:
    if actor.motion == "roll":
        return "roll"
    return "none" if actor.motion in {"still", "grow"} else "whoosh"
