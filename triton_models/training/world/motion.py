"""Where the objects of a scene are at each instant, and the events that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scene import EVENT_RATE_HZ, SPEAKERS, Actor, Impact, Scene, SceneEvents, Speech

Track1D = NDArray[np.float64]

RADIUS = {"small": 0.13, "medium": 0.19, "big": 0.25}
"""Of objects, in shorter sides: big enough for corners to be seen in pictures of 64 rows."""
HORIZON = 0.58
"""Height of the horizon as a share of the frame's height."""
GROUND = 0.86
"""Height at which objects touch the ground."""
SPEECH_START_S = 0.6
"""When a face begins to say its word."""

CENTRE = (0.5, 0.5)
"""Home of an object that is alone."""

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
    "desert": ("wind",),
    "forest": ("birds", "wind"),
    "meadow": ("birds",),
    "mountains": ("wind",),
    "city": ("city",),
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
    """Position of an object at each of n instants, in shorter sides; angle in radians."""

    x: Track1D
    y: Track1D
    radius: Track1D
    angle: Track1D
    impacts: tuple[tuple[float, float], ...]
    """(time, strength) of each hit on the ground."""


def trajectory(actor: Actor, times: Track1D, frame: Frame) -> Track:
    """Returns where `actor` is at `times` seconds; every motion but fall and grow goes on for ever."""
    size = RADIUS[actor.size]
    radius = np.full_like(times, size)
    home_x, home_y = actor.home[0] * frame.width, actor.home[1] * frame.height
    wobble = 0.08 * actor.offset if actor.home == CENTRE else 0.02 * actor.offset
    x, y = np.full_like(times, home_x + wobble * frame.width), np.full_like(times, home_y)
    angle = np.zeros_like(times)
    impacts: tuple[tuple[float, float], ...] = ()
    cycle = actor.phase + times / actor.period_s
    wrapped = cycle % 1.0
    floor = GROUND * frame.height - radius
    match actor.motion:
        case "bounce":
            height = min(0.56, 0.8 * frame.height - 2 * size)
            y = floor - height * 4 * wrapped * (1 - wrapped)
            impacts = _bounce_times(actor, times)
        case "left" | "right":
            share = wrapped if actor.motion == "right" else 1 - wrapped
            x = share * (frame.width + 2 * radius) - radius
            y = np.full_like(times, home_y + wobble * frame.height)
        case "up" | "down":
            share = wrapped if actor.motion == "down" else 1 - wrapped
            y = share * (frame.height + 2 * radius) - radius
        case "roll":
            x, y = wrapped * (frame.width + 2 * radius) - radius, floor
            angle = times / actor.period_s * (frame.width + 2 * radius) / radius
        case "fall":
            y, impacts = _fall(times, radius, floor)
        case "orbit":
            x = home_x + (0.47 - size) * np.cos(2 * np.pi * cycle)
            y = home_y + (0.47 - size) * np.sin(2 * np.pi * cycle)
        case "grow":
            radius = 0.1 + 0.25 * np.clip(times / _GROW_S, 0, 1)
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
    tracks = [trajectory(actor, times, frame) for actor in scene.actors]
    energy, pan = _motion(tracks, times, frame)
    hits = [hit for track in tracks for hit in _impacts(track, times, frame, scene.place)]
    return SceneEvents(
        duration_s,
        tuple(sorted(hits, key=lambda hit: hit.time_s)),
        energy,
        pan,
        _motion_sound(scene.actors),
        _ambience(scene),
        _speech(scene, duration_s, start_s),
        _growth(tracks),
    )


def _motion(tracks: list[Track], times: Track1D, frame: Frame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Energy and pan of the object that is faster at each instant."""
    if not tracks or not len(times):
        still = np.zeros(len(times), np.float32)
        return still, still
    speeds = np.stack([_speed(track) for track in tracks])
    places = np.stack([2 * track.x / frame.width - 1 for track in tracks])
    pan = np.take_along_axis(places, speeds.argmax(0)[None], 0)[0]
    return np.clip(speeds.max(0) / _FASTEST, 0, 1).astype(np.float32), np.clip(pan, -1, 1).astype(np.float32)


def _impacts(track: Track, times: Track1D, frame: Frame, surface: str) -> list[Impact]:
    start_s = float(times[0]) if len(times) else 0.0
    return [
        Impact(
            time_s=at - start_s,
            strength=strength,
            radius=float(np.interp(at, times, track.radius)),
            pan=float(np.clip(2 * np.interp(at, times, track.x) / frame.width - 1, -1, 1)),
            surface=surface,
        )
        for at, strength in track.impacts
        if at >= start_s
    ]


def _ambience(scene: Scene) -> tuple[str, ...]:
    """Rain drowns what is soft, nobody sings in the snow, and at night crickets follow the birds."""
    heard = _PLACE_AMBIENCE.get(scene.place, ())
    if scene.weather == "rain":
        return (*(name for name in heard if name in {"waves", "city"}), "rain")
    if scene.weather == "snow":
        return (*(name for name in heard if name in {"waves", "city"}), "wind")
    if scene.time == "night" and scene.place not in {"ocean", "city"}:
        return (*(name for name in heard if name not in {"birds", "wind"}), "night")
    return heard


def _growth(tracks: list[Track]) -> NDArray[np.float32] | None:
    for track in tracks:
        growing = np.diff(track.radius, append=track.radius[-1:]) > 0
        if growing.any():
            return np.where(growing, track.radius, 0).astype(np.float32)
    return None


def _speech(scene: Scene, duration_s: float, start_s: float) -> tuple[Speech, ...]:
    if scene.face is None or start_s + duration_s <= SPEECH_START_S:
        return ()
    return (Speech(scene.face.word, SPEAKERS.index(scene.face.speaker), SPEECH_START_S - start_s),)


def _speed(track: Track) -> Track1D:
    """Shorter sides per second; the jump of a wrap is not motion."""
    step = np.hypot(np.gradient(track.x), np.gradient(track.y))
    step[step > 0.25] = 0.0
    speed: Track1D = step * EVENT_RATE_HZ
    return speed


def _motion_sound(actors: tuple[Actor, ...]) -> str:
    motions = {actor.motion for actor in actors}
    if "roll" in motions:
        return "roll"
    if "grow" in motions:
        return "tone"
    return "none" if motions <= {"still"} else "whoosh"
