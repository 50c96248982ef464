"""The sound of a scene: what its events, its place and the request's flags make audible.

Deterministic: the same events, flags and seed give the same samples. Every layer draws from its own generator, so that
switching one off leaves the others as they were.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triton_models.modeling.audio.cues import AudioFlags
from triton_models.modeling.audio.score import Score, compose

from .scene import EVENT_RATE_HZ, SceneEvents, Speech
from .sound_ambience import AMBIENCES
from .sound_effects import impact, rumble, tone, whoosh
from .sound_music import music_bed
from .sound_noise import Signal, add_at, panned

SAMPLE_RATE = 24_000
"""Samples per second of everything synthesised here."""

_IMPACT_PEAK = 0.75
_SPEECH_PEAK = 0.6
_MOTION_LEVEL = 0.04
_TONE_LEVEL = 0.04
_AMBIENCE_LEVEL = 0.035
_MUSIC_LEVEL = 0.05


def scene_sound(events: SceneEvents, flags: AudioFlags, seed: int, rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Stereo [2, round(duration * rate)] in -1..1 with the sound of `events`.

    Effects are always there; speech, ambience and music follow the flags. With `include_speech` every word of
    `events.speech` is mixed in from its second on, by eSpeak (`speech.py`), which is loaded only then; a model that
    makes everything but the voice is trained without that flag. Ambiences are those of `scene.AMBIENCES`: "night" is
    crickets, "city" the hum of traffic.
    """
    samples = round(events.duration_s * rate)
    effects, ambience = (np.random.default_rng([seed, layer]) for layer in range(2))
    mix = _impacts(effects, events, samples, rate) + _motion(effects, events, samples, rate)
    if flags.include_ambient:
        for name in events.ambience:
            mix += _AMBIENCE_LEVEL * AMBIENCES[name](ambience, samples, rate)
    if flags.include_speech:
        for said in events.speech:
            _say(mix, said, rate)
    if flags.include_music:
        mix += _MUSIC_LEVEL * music_bed(score_of(seed), samples, rate)
    waveform: NDArray[np.float32] = np.tanh(mix).astype(np.float32)
    return waveform


def score_of(seed: int) -> Score:
    """What the music of `seed` plays."""
    return compose(np.random.default_rng([seed, 2]))


def _impacts(rng: np.random.Generator, events: SceneEvents, samples: int, rate: int) -> Signal:
    mix = np.zeros((2, samples))
    for hit in events.impacts:
        knock = panned(impact(rng, rate, hit), 0.6 * hit.pan)
        add_at(mix, _IMPACT_PEAK * np.sqrt(2) * knock, round(hit.time_s * rate))
    return mix


def _say(mix: Signal, said: Speech, rate: int) -> None:
    """Mixes a word in, in the middle; what began before the clip is cut.

    Raises:
        ValueError: the voice speaks at another rate.
    """
    from . import speech

    if rate != speech.SAMPLE_RATE:
        raise ValueError(f"speech is made at {speech.SAMPLE_RATE} samples a second, not {rate}")
    voice = speech.utterance(said.word, said.voice).samples.astype(np.float64)
    add_at(mix, panned(_SPEECH_PEAK * np.sqrt(2) * voice, 0.0), round(said.start_s * rate))


def _motion(rng: np.random.Generator, events: SceneEvents, samples: int, rate: int) -> Signal:
    if events.motion_sound == "none" or len(events.motion_energy) == 0:
        return np.zeros((2, samples))
    at = np.arange(samples) / rate
    track = np.arange(len(events.motion_energy)) / EVENT_RATE_HZ
    if events.growth is not None:
        # Interpolating the radius would glide through the silence before and after.
        radius = events.growth[np.minimum((at * EVENT_RATE_HZ).astype(int), len(events.growth) - 1)]
        return _TONE_LEVEL * panned(tone(rate, radius.astype(np.float64)), 0.8 * np.interp(at, track, events.pan))
    # A slow object is heard too: the ear is more even than speed is.
    energy = np.sqrt(np.interp(at, track, events.motion_energy.astype(np.float64)))
    pan = np.interp(at, track, events.pan.astype(np.float64))
    sound = rumble if events.motion_sound == "roll" else whoosh
    return _MOTION_LEVEL * panned(sound(rng, samples, rate, energy), 0.8 * pan)
