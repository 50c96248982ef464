"""Paints what stands behind the actor: sky, ground and landscapes.

Pictures are float32 [H, W, 3] in 0..1; clips of them [T, H, W, 3].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .motion import HORIZON

Picture = NDArray[np.float32]
Colour = tuple[float, float, float]

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
    "lake": ((0.30, 0.22, 0.48), (1.00, 0.66, 0.32), (0.80, 0.48, 0.32), (0.20, 0.16, 0.34)),
    "ocean": ((0.42, 0.66, 0.92), (0.84, 0.92, 0.97), (0.13, 0.42, 0.62), (0.03, 0.22, 0.42)),
    "rain": ((0.30, 0.33, 0.38), (0.46, 0.49, 0.53), (0.27, 0.30, 0.32), (0.17, 0.19, 0.21)),
    "stars": ((0.01, 0.02, 0.08), (0.07, 0.10, 0.26), (0.02, 0.03, 0.06), (0.01, 0.02, 0.03)),
    "snowfall": ((0.55, 0.62, 0.71), (0.78, 0.82, 0.87), (0.88, 0.91, 0.95), (0.78, 0.83, 0.91)),
}


def paint(place: str, seed: int, times: NDArray[np.float64], width: int, height: int) -> Picture:
    """Returns [T, H, W, 3]; only landscapes change with time."""
    rng = np.random.default_rng((seed, 3))
    still = _sky_and_ground(place, rng, width, height)
    decorate = _DECORATIONS.get(place)
    if decorate is None:
        return np.broadcast_to(still, (len(times), height, width, 3))
    return decorate(still, times, rng)


def _sky_and_ground(place: str, rng: np.random.Generator, width: int, height: int) -> Picture:
    tint = rng.uniform(0.96, 1.04, 3)
    top, sky, far, near = (np.asarray(colour) * tint for colour in _SKY_GROUND[place])
    rows = (np.arange(height) + 0.5) / height
    up = np.clip(rows / HORIZON, 0, 1)[:, None]
    down = np.clip((rows - HORIZON) / (1 - HORIZON), 0, 1)[:, None]
    ground = np.clip((rows - HORIZON) * height + 0.5, 0, 1)[:, None]
    column = (1 - ground) * (top + (sky - top) * up**1.3) + ground * (far + (near - far) * down)
    return np.repeat(np.clip(column, 0, 1)[:, None], width, axis=1).astype(np.float32)


def _grid(picture: Picture) -> tuple[Picture, Picture]:
    """Pixel centres in shorter sides: x [1, W], y [H, 1]."""
    height, width, _ = picture.shape
    shorter = min(height, width)
    x = (np.arange(width, dtype=np.float32) + 0.5) / shorter
    y = (np.arange(height, dtype=np.float32) + 0.5) / shorter
    return x[None, :], y[:, None]


def _glow(picture: Picture, at: tuple[float, float], radius: float, colour: Colour, halo: float) -> Picture:
    """Adds a disc with a soft halo, e.g. the sun or the moon."""
    x, y = _grid(picture)
    height = picture.shape[0]
    distance = np.hypot(x - at[0], y - at[1])
    disc = np.clip((radius - distance) * min(picture.shape[:2]) + 0.5, 0, 1)
    light = np.maximum(disc, 0.5 * np.exp(-((((distance - radius).clip(0)) / halo) ** 2)))
    light[round(HORIZON * height) :] = 0
    lit: Picture = (picture + light[..., None] * (np.asarray(colour, np.float32) - picture)).astype(np.float32)
    return lit


def _sunset(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    x, y = _grid(still)
    centre = (float(x[0, -1]) * (0.75 + 0.02 * rng.uniform(-1, 1)), float(y[-1, 0]) * (HORIZON - 0.06))
    painted = _glow(still, centre, 0.11, (1.0, 0.86, 0.45), 0.25)
    return np.broadcast_to(painted, (len(times), *painted.shape))


def _scatter_stars(still: Picture, rng: np.random.Generator, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    height, width, _ = still.shape
    return rng.integers(1, round(0.52 * height), count), rng.integers(0, width, count)


def _night(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    x, y = _grid(still)
    painted = _glow(still, (float(x[0, -1]) * 0.8, float(y[-1, 0]) * 0.18), 0.08, (0.95, 0.94, 0.84), 0.1)
    rows, columns = _scatter_stars(still, rng, still.shape[0] * still.shape[1] // 260)
    painted[rows, columns] = np.maximum(painted[rows, columns], rng.uniform(0.4, 0.9, (len(rows), 1)))
    return np.broadcast_to(painted, (len(times), *painted.shape))


def _stars(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    """Bright stars that twinkle, over hills."""
    rows, columns = _scatter_stars(still, rng, still.shape[0] * still.shape[1] // 110)
    clip = np.repeat(still[None], len(times), axis=0)
    phase, level = rng.uniform(0, 2 * np.pi, len(rows)), rng.uniform(0.35, 0.8, len(rows))
    twinkle = level * (0.75 + 0.25 * np.sin(2 * np.pi * 0.6 * times[:, None] + phase))
    clip[:, rows, columns] = np.maximum(clip[:, rows, columns], twinkle[..., None])
    return _ridge(clip, rng, 0.06, (0.02, 0.03, 0.05))


def _ridge(clip: Picture, rng: np.random.Generator, height: float, colour: Colour) -> Picture:
    """Draws a line of hills on the horizon of [T, H, W, 3]."""
    x, y = _grid(clip[0])
    jitter = rng.uniform(-0.3, 0.3)
    wave = 0.6 * np.abs(np.sin(2.1 * x + 0.6 + jitter)) + 0.4 * np.abs(np.sin(4.7 * x + 1.1 + jitter))
    horizon = HORIZON * float(y[-1, 0])
    inside = np.clip((y - (horizon - height * wave)) * min(clip.shape[1:3]) + 0.5, 0, 1)
    inside = np.where(y > horizon, 0, inside)[..., None].astype(np.float32)
    drawn: Picture = clip + inside * (np.asarray(colour, np.float32) - clip)
    return drawn


def _ripple(clip: Picture, times: NDArray[np.float64], amount: float, rate_hz: float) -> Picture:
    """Makes the water below the horizon shimmer in rows that travel towards the viewer."""
    x, y = _grid(clip[0])
    depth = np.clip((y / float(y[-1, 0]) - HORIZON) / (1 - HORIZON), 0, 1)
    phase = 2 * np.pi * (5.0 * np.sqrt(depth + 0.02) - rate_hz * times[:, None, None])
    wave = np.sin(phase + 1.2 * np.sin(3.0 * x[None])) * np.sqrt(depth) * amount
    rippled: Picture = np.clip(clip + wave[..., None] * (depth > 0)[..., None], 0, 1).astype(np.float32)
    return rippled


def _lake(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    x, y = _grid(still)
    centre = (float(x[0, -1]) * 0.5, float(y[-1, 0]) * (HORIZON - 0.10))
    painted = _glow(still, centre, 0.10, (1.0, 0.90, 0.55), 0.25)
    painted = _ridge(painted[None], rng, 0.26, (0.22, 0.16, 0.32))[0]
    horizon = round(HORIZON * still.shape[0])
    water = still.shape[0] - horizon
    mirror = painted[horizon - water : horizon][::-1] if water <= horizon else painted[:water][::-1]
    painted[horizon:] = 0.45 * painted[horizon:] + 0.55 * mirror
    return _ripple(np.repeat(painted[None], len(times), axis=0), times, 0.06, 0.5)


def _ocean(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    return _ripple(np.repeat(still[None], len(times), axis=0), times, 0.16, rng.uniform(0.55, 0.65))


def _sea(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    return _ripple(np.repeat(still[None], len(times), axis=0), times, 0.05, rng.uniform(0.45, 0.55))


def _drops(still: Picture, times: NDArray[np.float64], rng: np.random.Generator, speed: float, length: int) -> Picture:
    """Lets bright points or streaks fall through the frame, `speed` frame heights a second."""
    height, width, _ = still.shape
    clip = np.repeat(still[None], len(times), axis=0)
    count = height * width // 90
    column = rng.integers(0, width, count)
    start, rate = rng.uniform(0, 1, count), speed * rng.uniform(0.85, 1.15, count)
    frame = np.arange(len(times))[:, None]
    head = ((start + rate * times[:, None]) % 1.0 * (height + length)).astype(int) - length
    for cell in range(length):
        row = np.clip(head + cell, 0, height - 1)
        clip[frame, row, column] = 0.5 * clip[frame, row, column] + 0.5 * np.float32(0.95)
    return clip


def _rain(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    return _drops(still, times, rng, speed=1.6, length=5)


def _snowfall(still: Picture, times: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    return _drops(_ridge(still[None], rng, 0.14, (0.66, 0.72, 0.80))[0], times, rng, speed=0.3, length=2)


_DECORATIONS = {
    "sunset": _sunset,
    "night": _night,
    "sea": _sea,
    "lake": _lake,
    "ocean": _ocean,
    "rain": _rain,
    "stars": _stars,
    "snowfall": _snowfall,
}
