"""Samples clips of the world with their sound: what every stage of audio training learns from.

Motions start anywhere and bounce at many rates here, although the video model was taught narrow timing: the sound
must follow whatever the picture does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags, CueKind, condition_vector, parse_audio_cues
from triton_models.modeling.audio.reader import pool_frames, pool_latents
from triton_models.modeling.audio.tracks import Hit, SoundTracks, relative_size
from triton_models.modeling.reference import ReferenceConfig
from triton_models.modeling.shapes import VideoShape
from triton_models.modeling.vae import VideoVAE
from triton_models.training.world.grammar import caption, sample_actor, sample_scene
from triton_models.training.world.motion import Frame, events
from triton_models.training.world.render import render
from triton_models.training.world.scene import Scene, SceneEvents
from triton_models.training.world.sound import scene_sound

CLIP_S = 5.0
SIZES = tuple(ReferenceConfig().sizes.values())
"""The video model's native (width, height) of each aspect ratio."""

_BOUNCE_SHARE = 0.35
_FREE_AMBIENCE_SHARE = 0.3


@dataclass(frozen=True)
class Clip:
    """One scene, how it is asked for, and everything that can be heard."""

    scene: Scene
    caption: str
    events: SceneEvents
    """With the ambience that the caption asks for."""
    flags: AudioFlags
    conditions: tuple[float, ...]
    """`cues.condition_vector` of flags and caption."""
    words_fit: bool
    """False where the ambience was drawn freely, so that the caption must not be learned with it."""
    size: tuple[int, int]
    """Width and height in pixels."""
    seed: int

    def sound(self) -> NDArray[np.float32]:
        """Stereo [2, N] at the world's rate."""
        return scene_sound(self.events, self.flags, self.seed)

    def frames(self, fps: float, frames: int, vae: VideoVAE | None = None) -> Tensor:
        """Float [frames, 3, 24, 24] in 0..1 as the reader sees it; with a `vae`, through its latents."""
        if vae is None:
            return pool_frames(render(self.scene, frames, fps, *self.size))
        return pool_latents(vae, self.latents(vae, fps, frames))[:frames]

    def latents(self, vae: VideoVAE, fps: float, frames: int) -> Tensor:
        """The picture as latents [f, h, w, 16] of at least so many frames."""
        whole = VideoShape(frames, self.size[1], self.size[0]).padded()
        pixels = torch.from_numpy(render(self.scene, whole.frames, fps, *self.size)).permute(3, 0, 1, 2)
        latents: Tensor = vae.encode(pixels[None].float() / 127.5 - 1)[0]
        return latents

    def tracks(self) -> SoundTracks:
        """What the picture says about the sound, exactly."""
        return true_tracks(self.events)


def sample_clip(seed: int) -> Clip:
    """The clip of `seed`; a third of them bounce, because hits are what synchronisation is judged by."""
    rng = np.random.default_rng((seed, 3))
    scene = _with_free_timing(sample_scene(seed), rng)
    size = SIZES[rng.integers(len(SIZES))]
    flags = AudioFlags(include_music=bool(rng.random() < 0.3), include_ambient=bool(rng.random() < 0.8))
    heard = events(scene, CLIP_S, Frame.from_pixels(*size))
    words = caption(scene, seed)
    free = bool(rng.random() < _FREE_AMBIENCE_SHARE)
    ambience = _free_ambience(rng) if free else asked_ambience(words) or heard.ambience
    named = ambience if free or asked_ambience(words) else ()
    conditions = (*condition_vector(flags)[:2], *(float(flags.include_ambient and a in named) for a in AMBIENCES))
    return Clip(scene, words, replace(heard, ambience=ambience), flags, conditions, not free, size, seed)


def asked_ambience(prompt: str) -> tuple[str, ...]:
    """The ambiences that a prompt's words name."""
    return tuple(cue.sound for cue in parse_audio_cues(prompt) if cue.kind is CueKind.AMBIENT)


def true_tracks(heard: SceneEvents) -> SoundTracks:
    """The events of a rendered scene as the tracks that the reader should find."""
    energy, still = heard.motion_energy, np.zeros_like(heard.motion_energy)
    hits = tuple(Hit(hit.time_s, hit.strength, relative_size(hit.radius)) for hit in heard.impacts)
    return SoundTracks(
        hits,
        whoosh=energy if heard.motion_sound == "whoosh" else still,
        roll=energy if heard.motion_sound == "roll" else still,
        pan=heard.pan if heard.motion_sound != "none" else still,
    )


def _with_free_timing(scene: Scene, rng: np.random.Generator) -> Scene:
    if len(scene.actors) != 1:
        return scene
    actor = scene.actors[0]
    if rng.random() < _BOUNCE_SHARE:
        actor = sample_actor(rng, actor.shape, actor.colour, actor.size, "bounce")
    fastest, slowest = (0.55, 1.4) if actor.motion == "bounce" else (0.5, 1.2)
    pace = rng.uniform(fastest, slowest)
    timed = replace(actor, period_s=actor.period_s * pace, phase=float(rng.random()))
    return replace(scene, actors=(timed,))


def _free_ambience(rng: np.random.Generator) -> tuple[str, ...]:
    count = int(rng.choice((1, 1, 1, 2)))
    return tuple(str(name) for name in rng.choice(AMBIENCES, count, replace=False))
