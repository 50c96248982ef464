"""Samples scenes and says them in words, many ways each."""

from __future__ import annotations

import numpy as np

from .scene import BACKDROPS, COLOURS, LANDSCAPES, MOTIONS, SHAPES, Actor, Scene

LANDSCAPE_SHARE = 0.15

_SHAPE_WORDS = {
    "ball": ("ball", "ball", "circle", "sphere", "rubber ball", "round ball", "disc"),
    "square": ("square", "square", "cube", "box", "block"),
    "triangle": ("triangle", "triangle", "pyramid", "triangular shape"),
    "star": ("star", "star", "five-pointed star", "star shape"),
}
_COLOUR_WORDS = {
    "red": ("red", "red", "bright red", "crimson", "scarlet"),
    "green": ("green", "green", "bright green", "emerald", "lime green"),
    "blue": ("blue", "blue", "deep blue", "bright blue", "navy"),
    "yellow": ("yellow", "yellow", "bright yellow", "golden", "lemon yellow"),
    "orange": ("orange", "orange", "bright orange", "tangerine"),
    "purple": ("purple", "purple", "violet", "lilac"),
    "pink": ("pink", "pink", "hot pink", "magenta"),
    "white": ("white", "white", "snow-white", "bright white"),
}
_SIZE_WORDS = {
    "small": ("small", "little", "tiny", "mini"),
    "medium": ("", "", "", "medium-sized"),
    "big": ("big", "large", "huge", "giant"),
}
_MOTION_WORDS = {
    "bounce": ("bouncing", "bouncing up and down", "that bounces", "bounces", "hopping", "is bouncing", "jumping"),
    "left": ("moving left", "moving to the left", "that moves left", "sliding left", "going left", "flies to the left",
             "drifting leftwards", "moving from right to left"),
    "right": ("moving right", "moving to the right", "that moves right", "sliding right", "going right",
              "flies to the right", "drifting rightwards", "moving from left to right"),
    "up": ("moving up", "rising", "that rises", "floating up", "going up", "flying upwards", "moving upward"),
    "down": ("moving down", "sinking", "that moves down", "descending", "going down", "drifting downwards"),
    "roll": ("rolling", "rolling along", "that rolls", "rolls along the ground", "is rolling", "tumbling along"),
    "fall": ("falling", "falling from the sky", "that falls", "drops to the ground", "is falling", "dropping down"),
    "orbit": ("orbiting", "moving in a circle", "going round and round", "circling", "that circles", "spinning around"),
    "grow": ("growing", "getting bigger", "that grows", "expanding", "becoming larger", "is growing"),
    "still": ("", "standing still", "at rest", "lying on the ground", "that does not move", "resting"),
}  # fmt: skip
_BACKDROP_WORDS = {
    "grass": ("on green grass", "on green grass", "on grass", "in a meadow", "on a green lawn", "in a grassy field",
              "in a park", "over a green field", "in the garden"),
    "sand": ("on sand", "on the beach", "in the desert", "on a sandy beach", "over yellow sand", "across sand dunes"),
    "sea": ("on the sea", "over the ocean", "on water", "above the water", "over blue water", "at sea"),
    "night": ("at night", "in the night", "under a starry sky", "in the dark night", "under the moon", "at midnight"),
    "sunset": ("at sunset", "in the evening sun", "at dusk", "in front of a sunset", "under an orange sky", "at dawn"),
    "snow": ("on snow", "in the snow", "on a snowy field", "in winter", "over white snow", "on ice"),
    "grey": ("", "", "", "", "on a grey background", "on a plain background", "in a studio"),
    "black": ("on a black background", "on black", "in the dark", "against a black background", "in outer space"),
}  # fmt: skip
_LANDSCAPE_WORDS = {
    "lake": ("a lake at sunset with mountains", "sunset over a calm lake", "a serene lake at sunset",
             "mountains reflected in a lake", "a mountain lake in the evening", "golden sunset behind mountains",
             "a peaceful lake with mountains at dusk", "sun setting over mountains and a lake"),
    "ocean": ("ocean waves", "waves rolling on the ocean", "the open sea with waves", "blue ocean waves under the sky",
              "waves crashing on the sea", "a stormy sea", "sea waves in daylight", "the ocean"),
    "rain": ("rain", "heavy rain", "rain falling", "a rainy day", "raindrops falling from grey clouds",
             "a rain storm", "pouring rain in the city", "it is raining"),
    "stars": ("a starry night sky", "stars twinkling in the night sky", "the milky way at night", "night sky",
              "twinkling stars above dark hills", "a calm night full of stars", "stars and moon over hills"),
    "snowfall": ("snow falling", "falling snow", "a snowy landscape", "snowflakes drifting down", "a winter landscape",
                 "gentle snowfall over a white field", "it is snowing", "a blizzard"),
}  # fmt: skip
_VAGUE = 0.04
"""Share of captions that leave the colour, or the shape, open."""
_OPENINGS = ("", "", "", "", "a video of ", "a clip showing ", "an animation of ", "we see ", "a cinematic shot of ")
_ENDINGS = ("", "", "", "", "", ", high quality", ", 4k", ", smooth motion", ", cartoon style", ", slow and calm")


def sample_scene(seed: int) -> Scene:
    """Returns the scene of `seed`: an actor on a backdrop, or (15 %) a landscape."""
    rng = np.random.default_rng((seed, 1))
    if rng.random() < LANDSCAPE_SHARE:
        return Scene(str(rng.choice(LANDSCAPES)), None, seed)
    place = "grey" if rng.random() < 0.25 else str(rng.choice(BACKDROPS))
    size = str(rng.choice(("small", "medium", "medium", "big")))
    pick = (str(rng.choice(SHAPES, p=(0.4, 0.25, 0.175, 0.175))), str(rng.choice(COLOURS)), size)
    return Scene(place, sample_actor(rng, *pick, str(rng.choice(MOTIONS, p=_MOTION_SHARE))), seed)


_MOTION_SHARE = (0.17, 0.13, 0.13, 0.09, 0.09, 0.1, 0.09, 0.08, 0.07, 0.05)


def sample_actor(rng: np.random.Generator, shape: str, colour: str, size: str, motion: str) -> Actor:
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
    )


def caption(scene: Scene, seed: int) -> str:
    """Returns one of the many ways to say the scene in lower-case English."""
    rng = np.random.default_rng((seed, 2))
    if scene.actor is None:
        core = str(rng.choice(_LANDSCAPE_WORDS[scene.place]))
    else:
        core = _actor_phrase(scene.actor, scene.place, rng)
    said = str(rng.choice(_OPENINGS)) + core + str(rng.choice(_ENDINGS))
    return " ".join(said.split()).replace(" ,", ",")


def _actor_phrase(actor: Actor, place: str, rng: np.random.Generator) -> str:
    colours = _COLOUR_WORDS[actor.colour] if rng.random() < 1 - _VAGUE else ("",)
    shapes = _SHAPE_WORDS[actor.shape] if rng.random() < 1 - _VAGUE else ("thing", "object", "toy")
    noun = " ".join(" ".join(str(rng.choice(words)) for words in (_SIZE_WORDS[actor.size], colours, shapes)).split())
    article = str(rng.choice(("", "the", *(("an" if noun[0] in "aeiou" else "a"),) * 4)))
    motion = str(rng.choice(_MOTION_WORDS[actor.motion]))
    backdrop = str(rng.choice(_BACKDROP_WORDS[place]))
    if backdrop and rng.random() < 0.15:
        return f"{backdrop} {article} {noun} {motion}"
    return f"{article} {noun} {motion} {backdrop}"
