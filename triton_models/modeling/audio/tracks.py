"""What the picture says about sound, as tracks over time.

The tracks are the hand-over between seeing and sounding: `reader.py` reads them from frames, training takes them from
the rendered scene, and the audio DiT attends to them. An impact is a bump of fixed shape, so what is read and what is
trained on look alike. The score of the music joins them, as something else that happens at known instants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.audio.score import ROLL_CHANNELS, Score, piano_roll

TRACK_RATE_HZ = 50.0
CHANNELS = ("impact", "impact_size", "impact_pan", "whoosh", "roll", "tone", "pan")
"""Strength of a hit; the same times the object's size, and times its place; speed through the air; speed of rolling;
size of what grows, which is heard as a rising tone; place of what moves."""

TRACKS_PER_TOKEN = 2
TOKEN_CHANNELS = TRACKS_PER_TOKEN * len(CHANNELS) + ROLL_CHANNELS

BUMP_S = 0.02
"""Standard deviation of an impact's bump."""

_SMALLEST, _BIGGEST = 0.1, 0.25
_WIDEST = 0.4
"""Radius of the largest object that grows, in shorter sides of the frame."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An object hitting the ground."""

    time_s: float
    strength: float
    """0 to 1."""
    size: float
    """0 (small, sounds high) to 1."""
    pan: float
    """-1 left to 1 right."""


@dataclass(frozen=True, slots=True)
class SoundTracks:
    """Everything in a clip that should be heard because it is seen."""

    hits: tuple[Hit, ...]
    whoosh: NDArray[np.float32]
    """[T] speed through the air, 0 to 1, TRACK_RATE_HZ values a second."""
    roll: NDArray[np.float32]
    """[T] speed of rolling, 0 to 1."""
    tone: NDArray[np.float32]
    """[T] size of a growing object while it grows, 0 to 1; else 0."""
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


def tone_track(radius_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """The tone of a growing object from its radius in shorter sides of the frame (0 while it does not grow)."""
    return np.clip(radius_T / _WIDEST, 0, 1)


def bumps(hits: tuple[Hit, ...], length: int) -> NDArray[np.float32]:
    """[3, length] the three impact channels."""
    t = (np.arange(length) + 0.5) / TRACK_RATE_HZ
    channels = np.zeros((3, length), np.float32)
    for hit in hits:
        bump = hit.strength * np.exp(-0.5 * ((t - hit.time_s) / BUMP_S) ** 2)
        channels += np.stack([bump, bump * hit.size, bump * hit.pan]).astype(np.float32)
    return channels


def track_tokens(tracks: SoundTracks, score: Score | None, tokens: int) -> Tensor:
    """The tracks, and the score if there is music, as the transformer's context: [tokens, TOKEN_CHANNELS]."""
    length = tokens * TRACKS_PER_TOKEN
    motion = [_fit(track, length) for track in (tracks.whoosh, tracks.roll, tracks.tone, tracks.pan)]
    channels = np.concatenate([bumps(tracks.hits, length), np.stack(motion)])
    seen = torch.from_numpy(channels).T.reshape(tokens, -1)
    seconds = (torch.arange(tokens) + 0.5) * TRACKS_PER_TOKEN / TRACK_RATE_HZ
    return torch.cat([seen, piano_roll(score, seconds)], dim=1)


def _fit(track: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Cut a track, or hold its last value, to `length`."""
    if len(track) == 0:
        return np.zeros(length, np.float32)
    return np.pad(track[:length], (0, max(length - len(track), 0)), mode="edge")
