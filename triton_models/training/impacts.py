"""When a bouncing object is seen to hit the ground, and how far from that it is heard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..modeling.audio.cues import AudioFlags, parse_audio_cues
from ..modeling.audio.model import AudioClip, AudioModel, AudioRequest, load_audio_model
from ..modeling.reference import load_text_encoder
from ..modeling.shapes import TEMPORAL_FACTOR
from ..modeling.text import TextEncoder
from .audio.measures import onset_offsets_ms
from .measure import find_object
from .samples import Sample
from .world.scene import Scene

_LOW_SHARE = 0.25
"""An object is near the ground in the lowest part of its course."""
_FIRST_S, _LAST_S = 0.15, 4.7
"""Hits too near an end of the clip are left out: their onset may lie outside."""


def seen_hits_s(y: NDArray[np.float64], fps: float) -> list[float]:
    """Returns when heights y [T] (downwards) turn at the bottom: where the lines of falling and rising meet."""
    ground = y.max() - _LOW_SHARE * np.ptp(y)
    hits = []
    for i in range(2, len(y) - 3):
        if y[i] >= max(y[i - 1], ground) and y[i] > y[i + 1]:
            hits.append((i + _turn(y[i - 2 : i + 3])) / fps)
    return hits


def _turn(y: NDArray[np.float64]) -> float:
    """Offset from the middle of five samples at which the line through the first two meets that of the last two."""
    falling, rising = y[1] - y[0], y[4] - y[3]
    if falling - rising < 1e-6:
        return 0.0
    meeting = (y[4] - 2 * rising - (y[0] + 2 * falling)) / (falling - rising)
    return float(np.clip(meeting, -1, 1))


@dataclass(frozen=True)
class SoundBench:
    """The audio model and what it needs to be asked."""

    model: AudioModel
    text: TextEncoder

    @classmethod
    def load(cls, weights: Path) -> SoundBench:
        """Loads both from a model directory; errors as `load_audio_model`."""
        return cls(load_audio_model(weights), load_text_encoder(weights))

    def offsets_ms(self, scene: Scene, prompt: str, made: Sample) -> list[float]:
        """Returns how late each hit that is seen in the clip is heard in the sound made for it.

        Nothing for scenes without a single bouncing object, and none within 150 ms counts as 150 ms.
        """
        if len(scene.actors) != 1 or scene.actors[0].motion != "bounce":
            return []
        sighting = find_object(made.frames, scene.actors[0].colour)
        if sighting.seen.mean() < 0.9:
            return []
        steady = np.interp(np.arange(len(sighting.y)), np.flatnonzero(sighting.seen), sighting.y[sighting.seen])
        times = [at for at in seen_hits_s(steady, made.fps) if _FIRST_S < at < _LAST_S]
        return onset_offsets_ms(*self.sound(prompt, made, scene.seed), times)

    def sound(self, prompt: str, made: Sample, seed: int) -> tuple[NDArray[np.float32], int]:
        """Returns the sound of a clip without its voice, stereo [2, N], and its rate."""
        words = self.text.encode(prompt)
        request = AudioRequest(
            text_embeddings=words.embeddings,
            text_mask=words.mask,
            video_latents=made.latent[0],
            latent_fps=made.fps / TEMPORAL_FACTOR,
            duration_s=len(made.frames) / made.fps,
            flags=AudioFlags(),
            cues=parse_audio_cues(prompt),
            seed=seed,
        )
        *_, last = self.model.generate(request)
        if not isinstance(last, AudioClip):
            raise TypeError("the model ended without a clip")
        return last.waveform, last.sample_rate
