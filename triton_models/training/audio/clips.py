"""Samples clips of the world with their sound: what every stage of audio training learns from.

Motions start anywhere and bounce at many rates here, although the video model was taught narrow timing: the sound
must follow whatever the picture does. For the same reason a good half of the clips have an ambience of their own,
which has nothing to do with what is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags
from triton_models.modeling.audio.reader import pool_latents
from triton_models.modeling.audio.score import Score
from triton_models.modeling.audio.tracks import Hit, SoundTracks, relative_size, tone_track
from triton_models.modeling.reference import ReferenceConfig
from triton_models.modeling.shapes import VideoShape
from triton_models.modeling.vae import VideoVAE
from triton_models.training.world.grammar import sample_actor, sample_scene
from triton_models.training.world.motion import Frame, events
from triton_models.training.world.render import render
from triton_models.training.world.scene import Actor, Scene, SceneEvents
from triton_models.training.world.sound import scene_sound, score_of

CLIP_S = 5.0
FPS = ReferenceConfig().fps
SIZES = tuple(ReferenceConfig().sizes.values())
"""The video model's native (width, height) of each aspect ratio."""

_BOUNCE_SHARE = 0.35
_FREE_AMBIENCE_SHARE = 0.6
_FREE_AMBIENCES = (0, 1, 1, 1, 1, 2, 2, 3)
"""How many sounds a free ambience has."""


@dataclass(frozen=True)
class Clip:
    """One scene and everything that can be heard."""

    scene: Scene
    events: SceneEvents
    """With the ambience that is heard."""
    flags: AudioFlags
    size: tuple[int, int]
    """Width and height in pixels."""
    seed: int

    @property
    def score(self) -> Score | None:
        """What is played, if there is music."""
        return score_of(self.seed) if self.flags.include_music else None

    def sound(self) -> NDArray[np.float32]:
        """Stereo [2, N] at the world's rate."""
        return scene_sound(self.events, self.flags, self.seed)

    def latents(self, vae: VideoVAE) -> Tensor:
        """The picture as latents [f, h, w, 16]."""
        return scene_latents(vae, self.scene, CLIP_S, self.size)

    def tracks(self) -> SoundTracks:
        """What the picture says about the sound, exactly."""
        return true_tracks(self.events)


def sample_clip(seed: int) -> Clip:
    """The clip of `seed`; a third of the objects bounce, because hits are what synchronisation is judged by.

    Nobody speaks: the voice is another model's.
    """
    rng = np.random.default_rng((seed, 3))
    scene = sample_scene(seed)
    scene = replace(scene, actors=tuple(_with_free_timing(actor, rng) for actor in scene.actors))
    size = SIZES[rng.integers(len(SIZES))]
    flags = AudioFlags(include_music=bool(rng.random() < 0.25))
    heard = events(scene, CLIP_S, Frame.from_pixels(*size))
    ambience = _free_ambience(rng) if rng.random() < _FREE_AMBIENCE_SHARE else heard.ambience
    return Clip(scene, replace(heard, ambience=ambience, speech=()), flags, size, seed)


def scene_latents(vae: VideoVAE, scene: Scene, duration_s: float, size: tuple[int, int]) -> Tensor:
    """A rendered scene as latents [f, h, w, 16] of at least `duration_s`."""
    whole = VideoShape(round(duration_s * FPS), size[1], size[0]).padded()
    pixels = torch.from_numpy(render(scene, whole.frames, FPS, *size)).permute(3, 0, 1, 2)
    latents: Tensor = vae.encode(pixels[None].float() / 127.5 - 1)[0]
    return latents


def pooled(vae: VideoVAE, latents_FHWC: Tensor) -> Tensor:
    """Float [60, 3, 24, 24] in 0..1: a clip's latents as the reader sees them."""
    return pool_latents(vae, latents_FHWC)[: round(CLIP_S * FPS)]


def true_tracks(heard: SceneEvents) -> SoundTracks:
    """The events of a rendered scene as the tracks that the reader should find."""
    energy, still = heard.motion_energy, np.zeros_like(heard.motion_energy)
    hits = tuple(Hit(hit.time_s, hit.strength, relative_size(hit.radius), hit.pan) for hit in heard.impacts)
    return SoundTracks(
        hits,
        whoosh=energy if heard.motion_sound == "whoosh" else still,
        roll=energy if heard.motion_sound == "roll" else still,
        tone=still if heard.growth is None else tone_track(heard.growth),
        pan=heard.pan if heard.motion_sound != "none" else still,
    )


def _with_free_timing(actor: Actor, rng: np.random.Generator) -> Actor:
    if rng.random() < _BOUNCE_SHARE:
        bouncing = sample_actor(rng, actor.shape, actor.colour, actor.size, "bounce")
        actor = replace(bouncing, home=actor.home)
    fastest, slowest = (0.55, 1.4) if actor.motion == "bounce" else (0.5, 1.2)
    pace = rng.uniform(fastest, slowest)
    return replace(actor, period_s=actor.period_s * pace, phase=float(rng.random()))


def _free_ambience(rng: np.random.Generator) -> tuple[str, ...]:
    count = int(rng.choice(_FREE_AMBIENCES))
    return tuple(str(name) for name in rng.choice(AMBIENCES, count, replace=False))
