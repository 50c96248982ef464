"""The hour and the weather: colours of light, the sky with sun, moon, stars and clouds, and what falls from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .view import Colour, Dice, Grid, Picture, View, blend, cell_of, cover

_SKY: dict[str, tuple[Colour, Colour]] = {
    # at the top, at the horizon
    "sunrise": ((0.42, 0.62, 0.90), (1.00, 0.76, 0.72)),
    "noon": ((0.30, 0.58, 0.92), (0.80, 0.90, 0.98)),
    "sunset": ((0.30, 0.22, 0.48), (1.00, 0.66, 0.32)),
    "night": ((0.01, 0.02, 0.09), (0.17, 0.23, 0.46)),
}
_LIGHT: dict[str, Colour] = {
    "sunrise": (1.00, 0.80, 0.80),
    "noon": (1.0, 1.0, 1.0),
    "sunset": (0.68, 0.42, 0.50),
    "night": (0.22, 0.27, 0.46),
}
_CLOUDED: dict[str, Colour] = {
    "sunrise": (1.02, 0.84, 0.82),
    "noon": (1.0, 1.0, 1.0),
    "sunset": (0.86, 0.56, 0.44),
    "night": (0.20, 0.23, 0.38),
}
"""Tint of clouds, rain and fog."""
_GREY: dict[str, Colour] = {"rain": (0.46, 0.49, 0.54), "snow": (0.72, 0.76, 0.83), "fog": (0.80, 0.82, 0.84)}
_WHITE = (0.93, 0.95, 0.99)
_SNOW_COVER = 0.9


@dataclass(frozen=True)
class Sun:
    """Sun or moon: place (share of half the frame's width, share of the sky's height), radius, colour, halo."""

    x: float
    y: float
    radius: float
    colour: Colour
    halo: float


_SUNS = {
    "sunrise": Sun(-0.55, 0.20, 0.10, (1.00, 0.95, 0.66), 0.22),
    "noon": Sun(0.62, 0.74, 0.08, (1.00, 0.98, 0.80), 0.10),
    "sunset": Sun(0.0, 0.17, 0.10, (1.00, 0.90, 0.55), 0.25),
    "night": Sun(0.60, 0.72, 0.08, (0.95, 0.94, 0.84), 0.10),
}


@dataclass(frozen=True)
class Light:
    """Colours of one hour and weather."""

    time: str
    weather: str

    @property
    def clear(self) -> bool:
        """Whether sun, moon and stars are seen."""
        return self.weather == "clear"

    @property
    def sun(self) -> Sun:
        """What shines."""
        return _SUNS[self.time]

    @property
    def clouds(self) -> Picture:
        """Colour of an overcast sky, or of white clouds."""
        return np.asarray(_CLOUDED[self.time], np.float32) * np.asarray(_GREY.get(self.weather, _WHITE), np.float32)

    def sky(self) -> tuple[Picture, Picture]:
        """Colours of the sky at its top and at the horizon."""
        top, low = (np.asarray(colour, np.float32) for colour in _SKY[self.time])
        if self.clear:
            return top, low
        return blend(top, 0.85 * self.clouds, 0.88), blend(low, self.clouds, 0.75)

    def on(self, colour: Colour, snowed: float = _SNOW_COVER) -> Picture:
        """Returns how a colour looks in this light; in snow the given share of it is covered."""
        dry = np.asarray(colour, np.float32)
        worn = blend(dry, _WHITE, snowed) if self.weather == "snow" else dry
        shade = 0.72 if self.weather == "rain" else 0.9 if self.weather == "fog" else 1.0
        lit: Picture = worn * np.asarray(_LIGHT[self.time], np.float32) * np.float32(shade)
        return lit


def paint_sky(view: View, light: Light, dice: Dice) -> Picture:
    """Returns the sky over the whole picture."""
    top, low = light.sky()
    up = (1 + view.y / view.sky).clip(0, 1) ** 1.3
    picture = blend(top, low, np.broadcast_to(up, np.broadcast_shapes(up.shape, view.x.shape)))
    if light.time == "night" and light.clear:
        picture = paint_stars(picture, view, dice)
    picture = _shine(picture, view, light)
    return _clouds(picture, view, light, dice) if light.time in {"noon", "sunrise"} and light.clear else picture


def _shine(picture: Picture, view: View, light: Light) -> Picture:
    """Adds sun or moon with a soft halo; behind clouds little of it is left."""
    sun = light.sun
    distance = np.hypot(view.x - sun.x * view.width / 2, view.y + sun.y * view.sky)
    halo = 0.5 * np.exp(-(((distance - sun.radius).clip(0) / sun.halo) ** 2))
    share = np.maximum(view.inside(distance - np.float32(sun.radius)), halo)
    hidden = {"clear": 1.0, "fog": 0.55, "snow": 0.35, "rain": 0.25}[light.weather]
    return cover(picture, share * np.float32(hidden), sun.colour)


def paint_stars(picture: Picture, view: View, dice: Dice) -> Picture:
    """One star in most cells of the sky, big enough for a small picture; they twinkle."""
    column, dx = cell_of(view.x + 0.04, 0.36)
    row, dy = cell_of(view.y, 0.25)
    cell = column + 57 * row
    dx = dx - 0.2 * (dice.roll(cell, 1) - 0.5)
    dy = dy - 0.12 * (dice.roll(cell, 2) - 0.5)
    radius = 0.034 + 0.014 * dice.roll(cell, 3)
    twinkle = 0.8 + 0.2 * np.sin(2 * np.pi * (0.5 * view.times + dice.roll(cell, 4)))
    share = np.exp(-((np.hypot(dx, dy) / radius) ** 2)) * (dice.roll(cell, 5) > 0.2) * (view.y < 0)
    return cover(picture, share * twinkle.astype(np.float32), (0.95, 0.95, 0.90))


def _clouds(picture: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """A few soft clouds that drift."""
    column, dx = cell_of(view.land(0.15) + np.float32(0.03) * view.times + np.float32(dice.jitter), 0.85)
    middle = -view.sky * (0.55 + 0.25 * dice.roll(column, 6))
    puffs = [((dx - at) / (2.1 * size)) ** 2 + ((view.y - middle + 0.5 * size) / size) ** 2 for at, size in _PUFFS]
    share = (1.3 - np.minimum.reduce(puffs)).clip(0, 1) * (dice.roll(column, 7) > 0.25)
    return cover(picture, 0.8 * share, light.clouds)


_PUFFS = ((-0.13, 0.055), (0.02, 0.075), (0.15, 0.05))


def fall(picture: Picture, view: View, light: Light, dice: Dice) -> Picture:
    """Adds the weather before everything else: rain, snow or fog."""
    if light.weather == "rain":
        return cover(picture, _rain(view, dice), 1.2 * light.clouds + 0.22)
    if light.weather == "snow":
        return cover(picture, _snow(view, dice), 0.3 * light.clouds + 0.65)
    return cover(picture, _fog(view), light.clouds) if light.weather == "fog" else picture


def _rain(view: View, dice: Dice) -> Grid:
    """Streaks that fall in columns, each at its own speed, and fade upwards."""
    column, dx = cell_of(view.lens_x, 0.14)
    speed = 0.75 + 0.15 * dice.roll(column, 11)
    run = view.lens_y - speed * view.times - dice.roll(column, 12)
    cell, dy = cell_of(run.astype(np.float32), 0.5)
    dx = dx - 0.05 * (dice.roll(cell, 13) - 0.5)
    fade = 0.6 + 1.2 * dy
    share: Grid = fade * np.exp(-((dx / np.float32(0.024)) ** 4) - (dy / np.float32(0.17)) ** 8)
    return share


def _snow(view: View, dice: Dice) -> Grid:
    """Flakes that sink and sway."""
    row, dy = cell_of(view.lens_y - np.float32(0.18) * view.times, 0.25)
    sway = 0.03 * np.sin(2 * np.pi * (0.35 * view.times + dice.roll(row, 21)))
    column, dx = cell_of(view.lens_x + sway.astype(np.float32) + 0.25 * dice.roll(row, 22), 0.25)
    cell = column + 57 * row
    dx, dy = dx - 0.1 * (dice.roll(cell, 23) - 0.5), dy - 0.1 * (dice.roll(cell, 24) - 0.5)
    radius = 0.034 + 0.016 * dice.roll(cell, 25)
    share: Grid = np.float32(0.95) * np.exp(-((np.hypot(dx, dy) / radius) ** 4))
    return share


def _fog(view: View) -> Grid:
    """Thick at the horizon, thinner before the feet, in banks that drift."""
    bank = 0.10 * np.sin(3.0 * view.x + 0.6 * view.times + 9.0 * view.y)
    thick: Grid = (0.66 - 0.36 * view.depth + bank * (1.5 + 3.3 * view.y).clip(0, 1)).astype(np.float32)
    return thick
