"""Samples scenes and says them in words, many ways each."""

from __future__ import annotations

import re

import numpy as np

from . import words
from .scene import (
    BACKDROPS,
    CAMERAS,
    COLOURS,
    HAIR,
    LANDSCAPES,
    MOTIONS,
    SHAPES,
    SPEAKERS,
    TIMES,
    WEATHERS,
    WORDS,
    Actor,
    Face,
    Scene,
)

KINDS = {"object": 0.62, "two objects": 0.12, "landscape": 0.18, "face": 0.08}
"""Shares of scenes."""

_SHAPE_SHARE = (0.3, 0.7 / 3, 0.7 / 3, 0.7 / 3)
_MOTION_SHARE = (0.17, 0.13, 0.13, 0.09, 0.09, 0.1, 0.09, 0.08, 0.07, 0.05)
_TIME_SHARE = (0.2, 0.32, 0.25, 0.23)
_WEATHER_SHARE = (0.49, 0.17, 0.17, 0.17)
_CAMERA_SHARE = (0.6, 0.22, 0.18)
_FAMOUS_SHARE = 0.3
"""Of landscapes: those with a name of their own, a third of them the lake at sunset."""
_SHOWER_SHARE = 0.03
"""Of objects out of doors, for rain and for snow each."""
_PLAIN_SHARE = 0.25
"""Of backdrops: grey, beside its share among all."""
_VAGUE = 0.04
"""Share of captions that leave the colour, or the shape, open."""

_IN_COLUMNS = ("bounce", "still", "up", "down")
_IN_LANES = ("left", "right")
_COLUMNS = ((0.27, 0.5), (0.73, 0.5))
_LANES = ((0.5, 0.26), (0.5, 0.74))
"""Homes of two objects that move up and down, or sideways: they never hide each other."""


def sample_scene(seed: int) -> Scene:
    """Returns the scene of `seed`, of one of KINDS."""
    rng = np.random.default_rng((seed, 1))
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    if kind == "landscape":
        return _sample_landscape(rng, seed)
    place = "grey" if rng.random() < _PLAIN_SHARE else str(rng.choice(BACKDROPS))
    if kind == "face":
        face = Face(str(rng.choice(WORDS)), str(rng.choice(SPEAKERS)), str(rng.choice(HAIR)), float(rng.uniform(0, 1)))
        return Scene(place, (), seed, face=face)
    if kind == "two objects":
        return Scene(place, _sample_pair(rng), seed)
    size = str(rng.choice(("small", "medium", "medium", "big")))
    pick = (str(rng.choice(SHAPES, p=_SHAPE_SHARE)), str(rng.choice(COLOURS)), size)
    actor = sample_actor(rng, *pick, str(rng.choice(MOTIONS, p=_MOTION_SHARE)))
    shares = (1 - 2 * _SHOWER_SHARE, _SHOWER_SHARE, _SHOWER_SHARE)
    weather = "clear" if place in {"grey", "black"} else str(rng.choice(("clear", *words.SHOWER), p=shares))
    return Scene(place, (actor,), seed, weather=weather)


def _sample_landscape(rng: np.random.Generator, seed: int) -> Scene:
    place, time = str(rng.choice(LANDSCAPES)), str(rng.choice(TIMES, p=_TIME_SHARE))
    weather, camera = str(rng.choice(WEATHERS, p=_WEATHER_SHARE)), str(rng.choice(CAMERAS, p=_CAMERA_SHARE))
    if rng.random() < _FAMOUS_SHARE:
        place, time, weather = list(words.FAMOUS)[max(0, int(rng.integers(-2, len(words.FAMOUS))))]
    return Scene(place, (), seed, time, weather, camera)


def _sample_pair(rng: np.random.Generator) -> tuple[Actor, Actor]:
    """Two objects of different colours: side by side, moving along two lanes, or one passing above one at rest."""
    colours = [str(colour) for colour in rng.choice(COLOURS, 2, replace=False)]
    homes, motions = _COLUMNS, [str(motion) for motion in rng.choice(_IN_COLUMNS, 2)]
    if rng.random() < 0.4:
        homes, motions = _LANES, [str(motion) for motion in rng.choice(_IN_LANES, 2)]
    if rng.random() < 0.4:
        motions[1] = motions[0]
    if homes is _LANES and rng.random() < 0.25:
        motions[1] = "still"
    first, second = (
        sample_actor(rng, str(rng.choice(SHAPES, p=_SHAPE_SHARE)), colour, "medium", motion, home)
        for colour, motion, home in zip(colours, motions, homes, strict=True)
    )
    return first, second


def sample_actor(
    rng: np.random.Generator,
    shape: str,
    colour: str,
    size: str,
    motion: str,
    home: tuple[float, float] = (0.5, 0.5),
) -> Actor:
    """Returns an actor with the given words and sampled timing.

    The ranges are narrow on purpose: what the caption does not say should vary little, or a small model averages it.
    """
    period_s, phase = {
        "bounce": (1.2, 0.5),
        "orbit": (3.2, 0.0),
        "roll": (5.0, 0.12),
        "up": (6.0, 0.13),
        "down": (6.0, 0.13),
    }.get(motion, (6.4, 0.12))
    return Actor(
        shape,
        colour,
        size,
        motion,
        period_s=period_s * rng.uniform(0.92, 1.08),
        phase=phase + rng.uniform(-0.04, 0.04),
        offset=rng.uniform(-1, 1),
        home=home,
    )


def caption(scene: Scene, seed: int) -> str:
    """Returns one of the many ways to say the scene in lower-case English."""
    rng = np.random.default_rng((seed, 2))
    if scene.face is not None:
        core = _face_phrase(scene.face, scene.place, rng)
    elif scene.actors:
        core = _object_phrase(scene, rng)
    else:
        core = _landscape_phrase(scene, rng)
    openings = words.OPENING if scene.face is None else words.FACE_OPENING
    opening = "" if _FRONTED.match(core) else _pick(rng, openings)
    return _tidy(opening + core + _pick(rng, words.ENDING))


_FRONTED = re.compile(r" *(on|in|at|under|over|above|across|against|by|as|during|after)\b")
"""How a caption begins that says first where or when: "a video of" does not go before it."""


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[rng.integers(len(options))]


def _tidy(text: str) -> str:
    text = " ".join(text.split()).replace(" ,", ",")
    return re.sub(r"\ba (?=[aeio]|un|ur)", "an ", text)


def _object_phrase(scene: Scene, rng: np.random.Generator) -> str:
    weather = _pick(rng, words.SHOWER.get(scene.weather, ("",)))
    backdrop = _pick(rng, words.BACKDROP[scene.place])
    core = _one(scene.actors[0], rng) if len(scene.actors) == 1 else _pair(scene.actors, rng)
    if backdrop and rng.random() < 0.15:
        return f"{backdrop} {core} {weather}"
    return f"{core} {backdrop} {weather}"


def _noun(actor: Actor, rng: np.random.Generator) -> str:
    colours = words.COLOUR[actor.colour] if rng.random() < 1 - _VAGUE else ("",)
    shapes = words.SHAPE[actor.shape] if rng.random() < 1 - _VAGUE else ("thing", "object", "toy")
    noun = f"{_pick(rng, words.SIZE[actor.size])} {_pick(rng, colours)} {_pick(rng, shapes)}"
    return f"{_pick(rng, ('', 'the', 'a', 'a', 'a', 'a'))} {noun}"


def _one(actor: Actor, rng: np.random.Generator) -> str:
    return f"{_noun(actor, rng)} {_pick(rng, words.MOTION[actor.motion])}"


def _pair(actors: tuple[Actor, ...], rng: np.random.Generator) -> str:
    """The first is the left or the upper one; said together where both do the same."""
    first, second = actors
    beside = _pick(rng, ("next to", "beside", "left of")) if first.home[1] == second.home[1] else "above"
    if first.motion != second.motion:
        joint = "and" if rng.random() < 0.6 else beside
        return f"{_one(first, rng)} {joint} {_one(second, rng)}"
    motion = _pick(rng, tuple(text for text in words.MOTION[first.motion] if not _SINGULAR.search(text)))
    joint = "and" if rng.random() < 0.75 else beside
    return f"{_noun(first, rng)} {joint} {_noun(second, rng)} {_pick(rng, ('', 'both'))} {motion}"


_SINGULAR = re.compile(r"\b(that|is|bounces|flies)\b")


def _landscape_phrase(scene: Scene, rng: np.random.Generator) -> str:
    start = end = ""
    if scene.camera != "still":
        if rng.random() < 0.5:
            start = _pick(rng, words.CAMERA_START[scene.camera])
        else:
            end = _pick(rng, words.CAMERA_END[scene.camera])
    famous = words.FAMOUS.get((scene.place, scene.time, scene.weather))
    if famous and rng.random() < 0.5:
        return start + _pick(rng, famous) + end
    return start + _view_phrase(scene, rng) + end


def _view_phrase(scene: Scene, rng: np.random.Generator) -> str:
    """Place, time and weather in one of several orders."""
    place = _adorned(_pick(rng, words.LANDSCAPE[scene.place]), _pick(rng, words.MOOD))
    time = _pick(rng, words.TIME[scene.time])
    weather = _pick(rng, words.WEATHER[scene.weather])
    if scene.weather == "clear" and scene.time in words.CLEAR_TIME and rng.random() < 0.35:
        time = _pick(rng, words.CLEAR_TIME[scene.time])
    if scene.weather != "clear" and rng.random() < 0.3:
        adjective = _pick(rng, words.WEATHER_ADJECTIVE[scene.weather])
        place, weather = _adorned(place, adjective), ""
    orders = (f"{place} {time} {weather}", f"{place} {weather} {time}", f"{time} {place} {weather}")
    return _pick(rng, orders)


def _adorned(noun: str, adjective: str) -> str:
    """Puts the adjective after the article, if there is one."""
    article, _, rest = noun.partition(" ")
    return f"{article} {adjective} {rest}" if article in {"a", "an", "the"} else f"{adjective} {noun}"


def _face_phrase(face: Face, place: str, rng: np.random.Generator) -> str:
    speaker, hair = _pick(rng, words.SPEAKER[face.speaker]), _pick(rng, words.HAIR[face.hair])
    whos = (
        f"a {speaker}",
        f"a {speaker} with {hair} hair",
        f"a {hair}-haired {speaker}",
        f"a cartoon face of a {speaker} with {hair} hair",
        f"the face of a {speaker}",
        f"a talking {speaker}",
        "a cartoon face",
        "a talking face",
    )
    who, said = _pick(rng, whos), _pick(rng, words.SAYING).format(face.word)
    return f"{who} {said} {_pick(rng, words.BACKDROP[place])}"
