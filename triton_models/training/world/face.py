"""Draws the talking face, and says how far its mouth is open: what lips are learned and judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .motion import SPEECH_START_S, Frame
from .scene import SPEAKERS, Face, Scene
from .view import Colour, Grid, Picture, View, cover

Track1D = NDArray[np.float64]

_HEAD = (0.28, 0.35)
"""Half width and half height, in shorter sides of the frame."""
_REACH = 0.42
"""Nothing of a face is further from the middle than this."""
_MOUTH_Y = 0.18
_HAIR: dict[str, Colour] = {
    "black": (0.10, 0.08, 0.08),
    "brown": (0.40, 0.22, 0.10),
    "blond": (0.93, 0.78, 0.36),
    "red": (0.76, 0.28, 0.10),
}
_SKIN: tuple[Colour, Colour] = ((0.99, 0.84, 0.72), (0.58, 0.38, 0.26))
_DARK: Colour = (0.22, 0.02, 0.04)
_LIP: Colour = (0.80, 0.24, 0.28)


class MouthTrack(NamedTuple):
    """The mouth at each instant."""

    aperture: Track1D
    """[T] 0 closed to 1."""
    width: Track1D
    """[T] 0 rounded to 1 spread."""


def mouth_track(scene: Scene, times: Track1D) -> MouthTrack:
    """Returns what the mouth of the scene's face does at `times` seconds: its word once, from SPEECH_START_S on.

    Raises:
        ValueError: the scene has no face.
    """
    if scene.face is None:
        raise ValueError("a scene without a face has no mouth")
    return _mouth(scene.face, times)


def _mouth(face: Face, times: Track1D) -> MouthTrack:
    # Only a face needs the speech synthesiser, so only a face loads it.
    from .speech import mouth, utterance

    said = utterance(face.word, SPEAKERS.index(face.speaker))
    return MouthTrack(*mouth(said.phonemes, times - SPEECH_START_S))


def mouth_box(times: Track1D, frame: Frame) -> Track1D:
    """Returns left, top, right and bottom [T, 4] in shorter sides of the frame of the area in which the mouth moves."""
    x, y = 0.5 * frame.width, 0.5 * frame.height + _MOUTH_Y + _bob(times)
    return np.stack(np.broadcast_arrays(x - 0.20, y - 0.14, x + 0.20, y + 0.14), 1)


def _bob(times: Track1D) -> Track1D:
    """Height of the head, downwards."""
    bob: Track1D = 0.012 * np.sin(2 * np.pi * 0.55 * times)
    return bob


def draw_face(picture: Picture, face: Face, times: Track1D, view: View) -> Picture:
    """Returns the picture with the face in its middle, [T, H, W, 3]."""
    drawn = np.array(np.broadcast_to(picture, (len(times), *picture.shape[1:])))
    near = np.flatnonzero(np.abs(view.x[0, 0]) < _REACH)
    middle = slice(near[0], near[-1] + 1)
    drawn[:, :, middle] = _paint(drawn[:, :, middle], face, times, replace(view, x=view.x[..., middle]))
    return drawn


def _paint(picture: Picture, face: Face, times: Track1D, view: View) -> Picture:
    """Returns a picture that the face fills."""
    aperture, width = (track.astype(np.float32)[:, None, None] for track in _mouth(face, times))
    # y of the view counts from the horizon, that of the face from the middle of the frame.
    y = view.y + np.float32(view.sky - view.height / 2) - _bob(times).astype(np.float32)[:, None, None]
    skin = np.asarray(_SKIN[0], np.float32) * (1 - face.skin) + np.asarray(_SKIN[1], np.float32) * face.skin
    picture = _head(picture, face, view, y, skin)
    for side in (-1, 1):
        picture = _eye(picture, view, view.x - np.float32(0.115 * side), y + 0.07)
    half_x, half_y = 0.055 + 0.075 * width, 0.004 + 0.095 * aperture
    lips = _ellipse(view.x, y - _MOUTH_Y, half_x + 0.022, half_y + 0.022)
    picture = cover(picture, view.inside(lips), _LIP)
    return cover(picture, view.inside(_ellipse(view.x, y - _MOUTH_Y, half_x, half_y)), _DARK)


def _head(picture: Picture, face: Face, view: View, y: Grid, skin: Picture) -> Picture:
    """Hair, head and nose; women wear their hair long, children theirs in a tuft."""
    hair = _HAIR[face.hair]
    behind = {"man": (0.0, -0.07, 0.30, 0.32), "woman": (0.0, 0.04, 0.37, 0.44), "child": (0.0, -0.36, 0.07, 0.11)}
    dx, dy, half_x, half_y = behind[face.speaker]
    picture = cover(picture, view.inside(_ellipse(view.x - dx, y - dy, half_x, half_y)), hair)
    head = _ellipse(view.x, y, *_HEAD)
    picture = cover(picture, view.inside(head), skin)
    fringe = np.maximum(head - np.float32(0.012), y + np.float32(0.19) + 0.5 * view.x**2)
    picture = cover(picture, view.inside(fringe), hair)
    return cover(picture, view.inside(_ellipse(view.x, y - 0.045, 0.028, 0.04)), 0.82 * skin)


def _eye(picture: Picture, view: View, x: Grid, y: Grid) -> Picture:
    picture = cover(picture, view.inside(_ellipse(x, y, 0.062, 0.055)), (0.98, 0.98, 0.98))
    return cover(picture, view.inside(_ellipse(x, y, 0.032, 0.038)), (0.08, 0.08, 0.12))


def _ellipse(x: Grid, y: Grid, half_x: Grid | float, half_y: Grid | float) -> Grid:
    """Distance to an ellipse, nearly: right to first order at its edge."""
    level = np.hypot(x / half_x, y / half_y)
    slope = np.hypot(x / half_x**2, y / half_y**2)
    distance: Grid = (level * (level - 1) / np.maximum(slope, 1e-6)).astype(np.float32)
    return distance
