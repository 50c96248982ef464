"""Paints the seven landscapes, each at every hour, in every weather and through every camera.

A painter takes the sky and returns the whole picture. Shapes are large and repeat endlessly to both sides, so that a
camera may pan for as long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .motion import HORIZON
from .sky import Light, fall, paint_sky
from .view import Colour, Dice, Grid, Picture, View, blend, cell_of, cover


def paint(place: str, view: View, light: Light, dice: Dice) -> Picture:
    """Returns the landscape with its weather, [T or 1, H, W, 3]."""
    land = _PAINTERS[place](paint_sky(view, light, dice), view, light, dice)
    return fall(land * dice.tint, view, light, dice)


def _ground(picture: Picture, view: View, far: Picture, near: Picture) -> Picture:
    """Everything below the horizon, from the far colour to the near one."""
    return cover(picture, view.inside(-view.y), blend(far, near, view.depth))


def _tents(x: Grid, dice: Dice, spacing: float, half: float, low: float, high: float) -> Grid:
    """Heights of a row of pointed shapes that may overlap: peaks, or conifers."""
    cell, dx = cell_of(x, spacing)
    rows = []
    for neighbour in (-1, 0, 1):
        middle = np.float32(neighbour * spacing) + np.float32(0.3 * spacing) * (dice.roll(cell + neighbour, 31) - 0.5)
        tall = low + (high - low) * dice.roll(cell + neighbour, 32)
        rows.append(tall * (1 - np.abs(dx - middle) / np.float32(half)))
    heights: Grid = np.maximum.reduce(rows).clip(0)
    return heights


def _hills(x: Grid, jitter: float) -> Grid:
    """Heights 0..1 of rounded hills, with a valley near the middle of the first view, where the sun sets."""
    x = x + np.float32(0.4 * jitter)
    heights: Grid = 0.6 * np.abs(np.sin(2.1 * x)) + 0.4 * np.abs(np.sin(4.7 * x + 2.8))
    return heights


def _waves(picture: Picture, view: View, amount: float, rate_hz: float) -> Picture:
    """Makes the water below the horizon shimmer in rows that travel towards the viewer."""
    depth = view.depth
    phase = 5.0 * np.sqrt(depth + 0.02) - np.float32(rate_hz) * view.times
    wave = np.sin(2 * np.pi * phase + 1.2 * np.sin(3.0 * view.land())) * np.sqrt(depth) * np.float32(amount)
    bright = 0.35 + 0.65 * picture.mean(-1)
    rippled: Picture = picture + (wave * bright * (view.y > 0))[..., None]
    return rippled


def _lake(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Mountains mirrored in calm water."""
    ridge = 0.26 * _hills(view.land(0.5), dice.jitter)
    picture = cover(sky, view.inside(-view.y - ridge), light.on((0.32, 0.38, 0.62), 0.5))
    top = round(HORIZON * picture.shape[1])
    deep = picture.shape[1] - top
    mirror = picture[:, top - deep : top][:, ::-1]
    far, near = blend(light.sky()[1], (0.6, 0.4, 0.4), 0.3), blend(light.sky()[0], (0.05, 0.12, 0.25), 0.35)
    water = blend(blend(far, near, view.depth[:, top:]), mirror, 0.55)
    return _waves(np.concatenate([picture[:, :top], water], 1), view, 0.09, 0.5)


def _ocean(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Waves up to the horizon, with the sun's path on them."""
    low = light.sky()[1]
    far, near = blend(light.on((0.13, 0.42, 0.66), 0), low, 0.3), light.on((0.03, 0.22, 0.46), 0)
    picture = _waves(_ground(sky, view, far, near), view, 0.22, 0.6 + 0.15 * dice.jitter)
    if not light.clear or light.time == "noon":
        return picture
    glitter = np.sin(2 * np.pi * (9 * np.sqrt(view.depth + 0.02) - 0.6 * view.times)) > 0
    path = np.exp(-(((view.x - light.sun.x * view.width / 2) / (0.10 + 0.14 * view.depth)) ** 2))
    return cover(picture, (0.6 * path * glitter * (view.y > 0)).astype(np.float32), light.sun.colour)


def _desert(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Dunes with a lit and a dark side, and cacti."""
    far = 0.14 * _tents(view.land(0.5), dice, 1.0, 0.7, 0.6, 1.0) ** 0.8
    picture = cover(sky, view.inside(-view.y - far), light.on((0.86, 0.62, 0.34), 0.6))
    picture = cover(picture, view.inside(-view.y), light.on((0.95, 0.80, 0.50)))
    crest = 0.20 - 0.10 * _hills(view.land(), dice.jitter)
    picture = cover(picture, view.inside(crest - view.y), light.on((0.84, 0.60, 0.30)))
    return cover(picture, view.inside(_cactus(view, dice)), light.on((0.13, 0.42, 0.18), 0.35))


def _cactus(view: View, dice: Dice) -> Grid:
    """Distance to a row of cacti with two arms, one of them in the first view."""
    cell, dx = cell_of(view.land() + 0.15, 1.15)
    dx = dx + 0.2 * (dice.roll(cell, 41) - 0.5)
    up = np.float32(0.14) - view.y
    trunk = _bar(dx, up, 0.0, 0.18, 0.045, 0.2)
    arms = [_bar(dx, up, side * 0.13, rise, 0.032, 0.075) for side, rise in ((-1, 0.22), (1, 0.28))]
    links = [_bar(dx, up, side * 0.065, rise, 0.08, 0.028) for side, rise in ((-1, 0.16), (1, 0.22))]
    nearest: Grid = np.minimum.reduce([trunk, *arms, *links])
    return nearest


def _bar(dx: Grid, dy: Grid, x: float, y: float, half_width: float, half_height: float) -> Grid:
    """Distance to an upright box."""
    box: Grid = np.maximum(np.abs(dx - np.float32(x)) - half_width, np.abs(dy - np.float32(y)) - half_height)
    return box.astype(np.float32)


def _forest(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """A row of conifers far away, and a few near."""
    far = _tents(view.land(0.5) + 0.3, dice, 0.15, 0.11, 0.18, 0.32)
    picture = cover(sky, view.inside(-view.y - far), light.on((0.26, 0.46, 0.36), 0.35))
    picture = _ground(picture, view, light.on((0.30, 0.50, 0.20)), light.on((0.16, 0.34, 0.10)))
    x = view.land()
    cell, dx = cell_of(x, 0.46)
    foot = np.float32(0.12) - view.y
    trunk = np.maximum(np.abs(dx - np.float32(0.138) * (dice.roll(cell, 31) - 0.5)) - 0.03, np.abs(foot) - 0.09)
    picture = cover(picture, view.inside(trunk), light.on((0.34, 0.20, 0.10), 0))
    crown = np.maximum(np.float32(0.05) - foot, foot - _tents(x, dice, 0.46, 0.19, 0.46, 0.62))
    return cover(picture, view.inside(crown), light.on((0.06, 0.30, 0.12), 0.3))


def _meadow(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Rolling green with flowers, and a round tree."""
    hill = 0.11 * _hills(0.6 * view.land(0.5), dice.jitter)
    picture = cover(sky, view.inside(-view.y - hill), light.on((0.40, 0.66, 0.30)))
    picture = _ground(picture, view, light.on((0.44, 0.74, 0.24)), light.on((0.26, 0.58, 0.14)))
    cell, dx = cell_of(view.land() - 0.35, 1.7)
    dx = dx + 0.3 * (dice.roll(cell, 51) - 0.5)
    picture = cover(picture, view.inside(_bar(dx, view.y, 0.0, 0.0, 0.03, 0.1)), light.on((0.36, 0.22, 0.12), 0))
    crown = np.hypot(dx / 1.1, view.y + 0.22) - np.float32(0.17)
    picture = cover(picture, view.inside(crown), light.on((0.13, 0.42, 0.12), 0.5))
    return picture if light.weather == "snow" else _flowers(picture, view, light, dice)


_PETALS: tuple[Colour, ...] = ((0.95, 0.20, 0.20), (0.98, 0.88, 0.20), (0.98, 0.98, 0.98))


def _flowers(picture: Picture, view: View, light: Light, dice: Dice) -> Picture:
    row, dy = cell_of(view.y, 0.15)
    column, dx = cell_of(view.land() + 0.13 * row, 0.26)
    cell = column + 57 * row
    dot = np.hypot(dx - 0.06 * (dice.roll(cell, 52) - 0.5), dy) - np.float32(0.042)
    share = view.inside(dot) * (view.y > 0.13)
    kind = (dice.roll(cell, 53) * len(_PETALS)).astype(np.int64)
    return cover(picture, share, np.stack([light.on(petal) for petal in _PETALS])[kind])


def _mountains(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Steep peaks with snow on top over green foothills."""
    x = view.land(0.5) + 0.25
    tall = view.sky * _tents(x, dice, 0.75, 0.62, 0.66, 0.95)
    slope = np.diff(tall, axis=-1, append=tall[..., -1:])
    rock = np.where(slope[..., None] > 0, light.on((0.52, 0.53, 0.60), 0.3), light.on((0.33, 0.35, 0.44), 0.3))
    picture = cover(sky, view.inside(-view.y - tall), rock)
    line = np.float32(0.50 * view.sky) + 0.05 * np.abs((x * 7) % 2 - 1)
    cap = np.maximum(-view.y - tall, line + view.y)
    white = np.where(slope[..., None] > 0, light.on((0.97, 0.98, 1.0)), light.on((0.72, 0.77, 0.88)))
    picture = cover(picture, view.inside(cap), white)
    foot = 0.09 * _hills(0.8 * view.land(0.8), dice.jitter)
    picture = cover(picture, view.inside(-view.y - foot), light.on((0.22, 0.42, 0.24), 0.6))
    grass = blend(light.on((0.34, 0.56, 0.26)), light.on((0.2, 0.4, 0.14)), view.depth)
    return cover(picture, view.inside(0.10 - view.y), grass)


def _city(sky: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Towers with windows, lit when it is dark, along a street."""
    far, _ = _towers(view, view.land(0.5) + 0.4, dice, 0.19, (0.24, 0.52))
    picture = cover(sky, view.inside(far), blend(light.on((0.52, 0.58, 0.68), 0.2), light.sky()[1], 0.35))
    near, cell = _towers(view, view.land(), dice, 0.45, (0.20, 0.46))
    body = np.stack([light.on(wall, 0.2) for wall in _WALLS])[(dice.roll(cell, 61) * len(_WALLS)).astype(np.int64)]
    picture = cover(picture, view.inside(near), body)
    picture = cover(picture, view.inside(np.maximum(near + 0.03, _windows(view, dice))), _glass(light))
    picture = _ground(picture, view, light.on((0.58, 0.58, 0.60)), light.on((0.50, 0.50, 0.52)))
    picture = cover(picture, view.inside(0.10 - view.y), light.on((0.26, 0.27, 0.29), 0.5))
    _, dash = cell_of(view.land(), 0.44)
    line = np.maximum(np.abs(dash) - 0.12, np.abs(view.y - 0.26) - 0.022)
    return cover(picture, view.inside(line), light.on((0.95, 0.90, 0.60), 0.2))


_WALLS: tuple[Colour, ...] = ((0.62, 0.42, 0.36), (0.46, 0.50, 0.58), (0.68, 0.62, 0.52), (0.38, 0.40, 0.46))


def _towers(view: View, x: Grid, dice: Dice, spacing: float, heights: tuple[float, float]) -> tuple[Grid, Grid]:
    """Distance to a row of towers that stand on the horizon, and the number of each."""
    cell, dx = cell_of(x, spacing)
    tall = heights[0] + (heights[1] - heights[0]) * dice.roll(cell, 62)
    return np.maximum(np.abs(dx) - np.float32(0.46 * spacing), -view.y - tall), cell


def _windows(view: View, dice: Dice) -> Grid:
    """Distance to a grid of windows, some of them dark."""
    column, dx = cell_of(view.land(), 0.15)
    row, dy = cell_of(view.y, 0.15)
    dark = dice.roll(column + 57 * row, 63) < 0.25
    return np.maximum(np.maximum(np.abs(dx), np.abs(dy)) - 0.046, np.where(dark, 1.0, -1.0)).astype(np.float32)


def _glass(light: Light) -> Picture:
    if light.time in {"night", "sunset"}:
        return np.asarray((1.0, 0.85, 0.40), np.float32)
    return light.on((0.25, 0.36, 0.48), 0)


_PAINTERS: dict[str, Callable[[Picture, View, Light, Dice], Picture]] = {
    "lake": _lake,
    "ocean": _ocean,
    "desert": _desert,
    "forest": _forest,
    "meadow": _meadow,
    "mountains": _mountains,
    "city": _city,
}
