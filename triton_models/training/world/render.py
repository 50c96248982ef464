"""Draws scenes: anti-aliased, shaded, with a shadow on the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import backdrop, landscape
from .face import draw_face
from .motion import GROUND, Frame, Track, trajectory
from .scene import LANDSCAPES, Actor, Scene
from .sky import Light
from .view import Dice, Picture, View

PALETTE: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.10, 0.10),
    "green": (0.10, 0.72, 0.20),
    "blue": (0.10, 0.22, 0.88),
    "yellow": (0.97, 0.87, 0.10),
    "orange": (0.98, 0.52, 0.05),
    "purple": (0.52, 0.14, 0.74),
    "pink": (0.98, 0.42, 0.70),
    "white": (0.97, 0.97, 0.97),
}
_SHADOW_DARKNESS = 0.45
_PIXELS_AT_ONCE = 2_000_000


def render(scene: Scene, frames: int, fps: float, width: int, height: int, start_s: float = 0.0) -> NDArray[np.uint8]:
    """Returns the clip as uint8 [frames, height, width, 3], the same for the same arguments.

    It is drawn a few frames at a time, so that beside the clip itself little memory is needed.
    """
    clip = np.empty((frames, height, width, 3), np.uint8)
    at_once = max(1, _PIXELS_AT_ONCE // (width * height))
    for first in range(0, frames, at_once):
        times = start_s + np.arange(first, min(first + at_once, frames)) / fps
        clip[first : first + at_once] = (np.clip(_draw(scene, times, width, height), 0, 1) * 255 + 0.5).astype(np.uint8)
    return clip


def _draw(scene: Scene, times: NDArray[np.float64], width: int, height: int) -> Picture:
    """Returns float [T or 1, H, W, 3]."""
    view, dice = View.through(scene.camera, times, width, height), Dice(scene.seed)
    if scene.place in LANDSCAPES:
        return landscape.paint(scene.place, view, Light(scene.time, scene.weather), dice)
    picture = backdrop.paint(scene.place, view, dice)
    if scene.actors:
        picture = np.array(np.broadcast_to(picture, (len(times), height, width, 3)))
        _draw_actors(picture, scene.actors, times)
    if scene.face is not None:
        picture = draw_face(picture, scene.face, times, view)
    return backdrop.weather_before(picture, scene.weather, scene.place, view, dice)


def _draw_actors(clip: Picture, actors: tuple[Actor, ...], times: NDArray[np.float64]) -> None:
    frame = Frame.from_pixels(clip.shape[2], clip.shape[1])
    tracks = [trajectory(actor, times, frame) for actor in actors]
    for index in range(len(times)):
        for track in tracks:
            _draw_shadow(clip[index], track, index)
        for actor, track in zip(actors, tracks, strict=True):
            _draw_actor(clip[index], actor, track, index)


def _window(picture: Picture, x: float, y: float, reach_x: float, reach_y: float) -> tuple[slice, slice] | None:
    """Pixels within reach of a point given in pixels; None where all lie outside."""
    height, width, _ = picture.shape
    rows = slice(max(0, int(y - reach_y)), min(height, int(y + reach_y) + 2))
    columns = slice(max(0, int(x - reach_x)), min(width, int(x + reach_x) + 2))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _blend(picture: Picture, window: tuple[slice, slice], alpha: Picture, colour: Picture) -> None:
    patch = picture[window]
    patch += alpha[..., None] * (colour - patch)


def _centred(window: tuple[slice, slice], x: float, y: float) -> tuple[Picture, Picture]:
    """Pixel offsets from (x, y) over the window: [1, w] and [h, 1]."""
    rows, columns = window
    dx = np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - x
    dy = np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - y
    return dx[None, :], dy[:, None]


def _draw_shadow(picture: Picture, track: Track, index: int) -> None:
    """A soft ellipse under the actor, wider and fainter the higher the actor is."""
    shorter = min(picture.shape[:2])
    x, ground = track.x[index] * shorter, GROUND * picture.shape[0]
    radius = track.radius[index] * shorter
    lift = max(0.0, (ground - track.y[index] * shorter) / shorter - track.radius[index])
    half = (radius * (0.95 + 0.3 * lift), 0.28 * radius * (1 + 0.3 * lift))
    window = _window(picture, x, ground, *half)
    if window is None:
        return
    dx, dy = _centred(window, x, ground)
    depth = np.clip(1 - (dx / half[0]) ** 2 - (dy / half[1]) ** 2, 0, 1)
    alpha = _SHADOW_DARKNESS / (1 + 2 * lift) * np.minimum(1, 1.6 * depth)
    _blend(picture, window, alpha.astype(np.float32), np.zeros(3, np.float32))


def _draw_actor(picture: Picture, actor: Actor, track: Track, index: int) -> None:
    shorter = min(picture.shape[:2])
    x, y, radius = (float(value[index]) * shorter for value in (track.x, track.y, track.radius))
    window = _window(picture, x, y, 1.3 * radius, 1.3 * radius)
    if window is None:
        return
    dx, dy = _centred(window, x, y)
    cosine, sine = np.cos(track.angle[index]), np.sin(track.angle[index])
    u, v = (dx * cosine + dy * sine) / radius, (dy * cosine - dx * sine) / radius
    inside = np.clip(0.5 - _DISTANCE[actor.shape](u, v) * radius, 0, 1)
    _blend(picture, window, inside.astype(np.float32), _shade(actor, dx / radius, dy / radius, u))


def _shade(actor: Actor, dx: Picture, dy: Picture, u: Picture) -> Picture:
    """Light from the upper left; a ball also carries a darker band that shows its rotation."""
    base = np.asarray(PALETTE[actor.colour], np.float32)
    light = 1.0 - 0.16 * (dx + dy)
    highlight = np.zeros_like(light)
    if actor.shape == "ball":
        light = 1.05 - 0.30 * np.hypot(dx + 0.35, dy + 0.35) ** 2
        highlight = 0.55 * np.exp(-((dx + 0.38) ** 2 + (dy + 0.38) ** 2) / 0.045)
        if actor.motion == "roll":
            light = light * np.where(np.abs(u) < 0.16, 0.6, 1.0)
    colour = base * np.clip(light, 0.35, 1.15)[..., None]
    shaded: Picture = np.clip(colour + highlight[..., None], 0, 1).astype(np.float32)
    return shaded


def _disc(u: Picture, v: Picture) -> Picture:
    return np.hypot(u, v) - np.float32(1)


def _square(u: Picture, v: Picture) -> Picture:
    return np.maximum(np.abs(u), np.abs(v)) - np.float32(0.88)


def _triangle(u: Picture, v: Picture) -> Picture:
    return np.maximum(v - 0.88, 0.875 * np.abs(u) - 0.48 * v - 0.59)


def _star(u: Picture, v: Picture) -> Picture:
    """Signed distance to a five-pointed star of circumradius 1.15, point up (its sectors are folded into one)."""
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + sector / 2) % sector - sector / 2)
    radius = np.hypot(u, v)
    px, py = radius * np.cos(angle), radius * np.sin(angle)
    outer, inner = 1.15, 0.52
    ix, iy = inner * np.cos(sector / 2), inner * np.sin(sector / 2)
    edge = np.hypot(ix - outer, iy)
    distance: Picture = ((px - outer) * iy - py * (ix - outer)) / edge
    return distance


_DISTANCE = {"ball": _disc, "square": _square, "triangle": _triangle, "star": _star}


def silhouette(shape: str, height: int, width: int) -> NDArray[np.bool_]:
    """Returns [height, width], True inside a shape that fills the box."""
    left, right, top, bottom = _EXTENT[shape]
    u = np.linspace(left, right, 2 * width + 1, dtype=np.float32)[1::2][None, :]
    v = np.linspace(top, bottom, 2 * height + 1, dtype=np.float32)[1::2][:, None]
    return np.broadcast_to(_DISTANCE[shape](u, v) < 0, (height, width))


_EXTENT = {
    "ball": (-1.0, 1.0, -1.0, 1.0),
    "square": (-0.88, 0.88, -0.88, 0.88),
    "triangle": (-1.157, 1.157, -1.229, 0.88),
    "star": (-1.09, 1.09, -1.15, 0.93),
}
"""Left, right, top and bottom of each shape, in its own radii."""
