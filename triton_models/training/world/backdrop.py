"""Paints what stands behind objects and faces: plain sky and ground, so that the eye stays on what moves."""

from __future__ import annotations

import numpy as np

from .sky import Light, fall, paint_stars
from .view import Colour, Dice, Picture, View, blend, cover

_SKY_GROUND: dict[str, tuple[Colour, Colour, Colour, Colour]] = {
    # sky top, sky at the horizon, ground at the horizon, ground near
    "grass": ((0.35, 0.62, 0.92), (0.75, 0.88, 0.98), (0.36, 0.62, 0.24), (0.20, 0.50, 0.13)),
    "sand": ((0.42, 0.68, 0.92), (0.85, 0.91, 0.95), (0.90, 0.78, 0.52), (0.82, 0.66, 0.38)),
    "sea": ((0.45, 0.70, 0.95), (0.82, 0.92, 0.98), (0.16, 0.45, 0.68), (0.05, 0.27, 0.50)),
    "night": ((0.02, 0.03, 0.11), (0.08, 0.10, 0.25), (0.05, 0.08, 0.12), (0.03, 0.05, 0.07)),
    "sunset": ((0.36, 0.20, 0.45), (0.99, 0.62, 0.28), (0.32, 0.18, 0.22), (0.16, 0.09, 0.13)),
    "snow": ((0.62, 0.72, 0.83), (0.86, 0.90, 0.94), (0.92, 0.94, 0.98), (0.82, 0.87, 0.95)),
    "grey": ((0.66, 0.67, 0.69), (0.74, 0.75, 0.77), (0.62, 0.63, 0.65), (0.52, 0.53, 0.55)),
    "black": ((0.02, 0.02, 0.03), (0.05, 0.05, 0.06), (0.07, 0.07, 0.08), (0.03, 0.03, 0.04)),
}
_HOURS = {"night": "night", "sunset": "sunset", "black": "night"}


def paint(place: str, view: View, dice: Dice) -> Picture:
    """Returns the backdrop, [T or 1, H, W, 3]; only water moves."""
    top, low, far, near = _SKY_GROUND[place]
    up = np.broadcast_to((1 + view.y / view.sky).clip(0, 1) ** 1.3, (1, view.y.shape[1], view.x.shape[2]))
    picture = cover(blend(top, low, up), view.inside(-view.y), blend(far, near, view.depth)) * dice.tint
    if place == "night":
        picture = _glow(paint_stars(picture, view, dice), view, (0.3, 0.69), 0.08, (0.95, 0.94, 0.84), 0.1)
    if place == "sunset":
        picture = _glow(picture, view, (0.25, 0.103), 0.11, (1.0, 0.86, 0.45), 0.25)
    return _ripple(picture, view) if place == "sea" else picture


def weather_before(picture: Picture, weather: str, place: str, view: View, dice: Dice) -> Picture:
    """Returns the picture with rain, snow or fog in front of everything."""
    return fall(picture, view, Light(_HOURS.get(place, "noon"), weather), dice)


def _glow(picture: Picture, view: View, at: tuple[float, float], radius: float, colour: Colour, halo: float) -> Picture:
    """Adds a disc with a soft halo at a share of the width and of the sky's height, both from the middle."""
    distance = np.hypot(view.x - at[0] * view.width, view.y + at[1] * view.sky)
    soft = 0.5 * np.exp(-((((distance - radius).clip(0)) / halo) ** 2))
    share = np.maximum(view.inside(distance - np.float32(radius)), soft) * (view.y < 0)
    return cover(picture, share.astype(np.float32), colour)


def _ripple(picture: Picture, view: View) -> Picture:
    """Calm water that shimmers in rows."""
    phase = 5.0 * np.sqrt(view.depth + 0.02) - np.float32(0.5) * view.times
    wave = np.sin(2 * np.pi * phase + 1.2 * np.sin(3.0 * view.x)) * np.sqrt(view.depth) * np.float32(0.05)
    rippled: Picture = picture + (wave * (view.y > 0))[..., None]
    return rippled
