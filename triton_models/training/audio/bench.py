"""Asks a loaded audio model for sound, and the world for scenes and sounds to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.audio.cues import AudioFlags, parse_audio_cues
from triton_models.modeling.audio.model import AudioClip, AudioModel, AudioRequest
from triton_models.modeling.audio.reader import pool_latents, read_tracks
from triton_models.modeling.audio.spectrum import SAMPLE_RATE
from triton_models.modeling.shapes import TEMPORAL_FACTOR
from triton_models.modeling.text import TextEncoder
from triton_models.training.audio.clips import CLIP_S, FPS, scene_latents
from triton_models.training.audio.measures import Vector, spectral_profile
from triton_models.training.world.grammar import sample_actor
from triton_models.training.world.motion import Frame, events
from triton_models.training.world.scene import Scene, SceneEvents
from triton_models.training.world.sound import scene_sound

SIZE = (112, 64)
STILL = torch.zeros(16, 8, 14, 16)
"""Latents of five seconds of nothing."""


@dataclass(frozen=True)
class Bench:
    """A loaded model and what is needed to ask it for sound."""

    model: AudioModel
    text: TextEncoder

    def sound(
        self, prompt: str, seed: int, latents_FHWC: Tensor = STILL, flags: AudioFlags | None = None,
        *, cues: bool = True, duration_s: float = CLIP_S, steps: int | None = None,
    ) -> AudioClip:  # fmt: skip
        """Sound for a clip; without `cues` only the text embeddings say what to hear."""
        asked = replace(
            self.request(prompt, seed), video_latents=latents_FHWC, flags=flags or AudioFlags(),
            duration_s=duration_s, steps=steps,
        )  # fmt: skip
        *_, last = self.model.generate(asked if cues else replace(asked, cues=()))
        if not isinstance(last, AudioClip):
            raise TypeError("the model ended without a clip")
        return last

    def request(self, prompt: str, seed: int) -> AudioRequest:
        """Asks for the sound of five seconds of nothing."""
        words = self.text.encode(prompt)
        return AudioRequest(
            text_embeddings=words.embeddings, text_mask=words.mask, video_latents=STILL,
            latent_fps=FPS / TEMPORAL_FACTOR, duration_s=CLIP_S, flags=AudioFlags(),
            cues=parse_audio_cues(prompt), seed=seed,
        )  # fmt: skip

    def cues_help(self, prompt: str) -> bool:
        """Whether cues name an ambience that the text embeddings do not ask for."""
        asked = self.request(prompt, 0)
        return self.model.ambience(asked) != self.model.ambience(replace(asked, cues=()))

    def latents(self, scene: Scene, duration_s: float = CLIP_S) -> Tensor:
        """A rendered scene as the video autoencoder's latents [f, h, w, 16]."""
        return scene_latents(self.model.vae, scene, duration_s, SIZE)

    def read_errors_ms(self, latents_FHWC: Tensor, times_s: list[float]) -> list[float]:
        """How far the nearest hit that the reader finds is from each time; infinite where none is within 150 ms."""
        tracks = read_tracks(self.model.networks.reader, pool_latents(self.model.vae, latents_FHWC), FPS)
        nearest = [min((abs(hit.time_s - at) for hit in tracks.hits), default=np.inf) for at in times_s]
        return [1000 * error if error < 0.15 else np.inf for error in nearest]


def bouncing_scene(seed: int, duration_s: float = CLIP_S) -> tuple[Scene, list[float]]:
    """A ball that bounces at a random rate from a random height, and when it hits the ground."""
    rng = np.random.default_rng((seed, 5))
    actor = sample_actor(rng, "ball", "red", str(rng.choice(("small", "medium", "big"))), "bounce")
    actor = replace(actor, period_s=float(rng.uniform(0.8, 1.4)), phase=float(rng.random()))
    scene = Scene("grass", (actor,), seed)
    heard = events(scene, duration_s, Frame.from_pixels(*SIZE))
    return scene, [hit.time_s for hit in heard.impacts if 0.1 < hit.time_s < duration_s - 0.2]


def real_ambience(name: str, seed: int) -> NDArray[np.float32]:
    """The world's own sound of an ambience."""
    nothing = np.zeros(round(CLIP_S * 50), np.float32)
    return scene_sound(SceneEvents(CLIP_S, (), nothing, nothing, "none", (name,)), AudioFlags(), seed)


def profile(wave: NDArray[np.float32]) -> Vector:
    """What tells ambiences apart."""
    return spectral_profile(wave, SAMPLE_RATE)
