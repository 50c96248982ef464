"""What the picture says about sound, as tracks over time.

The tracks are the hand-over between seeing and sounding: `reader.py` reads them from frames, training takes them from
the rendered scene, and the audio DiT attends to them. An impact is a bump of fixed shape, so what is read and what is
trained on look alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TRACK_RATE_HZ = 50.0
CHANNELS = ("impact", "impact_size", "whoosh", "roll", "pan")
"""Strength of a hit; the same times the object's size; speed through the air; speed of rolling; place times motion."""

TRACKS_PER_TOKEN = 2
TOKEN_CHANNELS = TRACKS_PER_TOKEN * len(CHANNELS)
TOKEN_RATE_HZ = TRACK_RATE_HZ / TRACKS_PER_TOKEN

BUMP_S = 0.02
"""Standard deviation of an impact's bump."""

_SMALLEST, _BIGGEST = 0.1, 0.25


@dataclass(frozen=True, slots=True)
class Hit:
    """An object hitting the ground."""

    time_s: float
    strength: float
    """0 to 1."""
    size: float
    """0 (small, sounds high) to 1."""


@dataclass(frozen=True, slots=True)
class SoundTracks:
    """Everything in a clip that should be heard because it is seen."""

    hits: tuple[Hit, ...]
    whoosh: NDArray[np.float32]
    """[T] speed through the air, 0 to 1, TRACK_RATE_HZ values a second."""
    roll: NDArray[np.float32]
    """[T] speed of rolling, 0 to 1."""
    pan: NDArray[np.float32]
    """[T] place of the object, -1 left to 1 right."""

    @property
    def energy(self) -> NDArray[np.float32]:
        """[T] how loud the picture looks: hits stand out of motion."""
        loud: NDArray[np.float32] = 0.3 * np.maximum(self.whoosh, self.roll) + bumps(self.hits, len(self.pan))[0]
        return loud


def relative_size(radius: float) -> float:
    """Size 0 to 1 of an object whose radius is given in shorter sides of the frame."""
    return float(np.clip((radius - _SMALLEST) / (_BIGGEST - _SMALLEST), 0, 1))


def bumps(hits: tuple[Hit, ...], length: int) -> NDArray[np.float32]:
    """[2, length] the impact and impact_size channels."""
    t = (np.arange(length) + 0.5) / TRACK_RATE_HZ
    channels = np.zeros((2, length), np.float32)
    for hit in hits:
        bump = hit.strength * np.exp(-0.5 * ((t - hit.time_s) / BUMP_S) ** 2)
        channels += np.stack([bump, bump * hit.size]).astype(np.float32)
    return channels


def track_tokens(tracks: SoundTracks, tokens: int) -> tuple[Tensor, Tensor]:
    """The tracks as DiT context: [tokens, TOKEN_CHANNELS], and the second each token stands for."""
    length = tokens * TRACKS_PER_TOKEN
    motion = [_fit(track, length) for track in (tracks.whoosh, tracks.roll, tracks.pan)]
    channels = np.concatenate([bumps(tracks.hits, length), np.stack(motion)])
    values = torch.from_numpy(channels).T.reshape(tokens, TOKEN_CHANNELS)
    return values, (torch.arange(tokens) + 0.5) / TOKEN_RATE_HZ


def _fit(track: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Cut a track, or hold its last value, to `length`."""
    if len(track) == 0:
        return np.zeros(length, np.float32)
    return np.pad(track[:length], (0, max(length - len(track), 0)), mode="edge")
