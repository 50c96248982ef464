"""Sounds that objects make: the knock of an impact, the rush of motion, the rumble of rolling."""

from __future__ import annotations

import numpy as np

from .scene import Impact
from .sound_noise import Signal, band, decay, shaped_noise

_MODES = ((1.0, 1.0, 1.0), (1.59, 0.6, 0.6), (2.14, 0.4, 0.4), (2.92, 0.25, 0.3))
"""Ratios of frequency, amplitude and decay time: the first modes of a membrane."""


_SOFTNESS = {"grass": 0.4, "sand": 0.7, "sea": 0.7, "snow": 0.8}
"""How much a ground dulls the click of a hit; grounds not named are hard (0)."""


def impact(rng: np.random.Generator, rate: int, hit: Impact) -> Signal:
    """One knock that starts at its first sample, mono, peak at `hit.strength`.

    A short click marks the contact and damped membrane modes give the body: a small object rings at about 700 Hz,
    a big one at about 150 Hz and longer. A harder hit on a harder ground is brighter.
    """
    size = float(np.clip((hit.radius - 0.1) / 0.15, 0, 1))
    pitch_hz = 700 * (150 / 700) ** size * rng.uniform(0.97, 1.03)
    decay_s = 0.04 + 0.06 * size
    samples = int(8 * decay_s * rate)
    t = np.arange(samples) / rate
    body = sum(
        gain * np.sin(2 * np.pi * pitch_hz * ratio * t) * decay(samples, rate, 0.001, decay_s * damping)
        for ratio, gain, damping in _MODES
    )
    click = rng.standard_normal(samples) * decay(samples, rate, 0.0005, 0.005)
    brightness = (0.3 + 0.4 * hit.strength) * (1 - 0.7 * _SOFTNESS.get(hit.surface, 0))
    knock = 0.5 * np.asarray(body) + brightness * click
    scaled: Signal = hit.strength * knock / max(float(np.abs(knock).max()), 1e-9)
    return scaled


def whoosh(rng: np.random.Generator, samples: int, rate: int, energy: Signal) -> Signal:
    """Air moved by an object, mono: louder and brighter with `energy` (0..1, one value a sample)."""
    low = shaped_noise(rng, samples, rate, band(150, 500, order=3))
    high = shaped_noise(rng, samples, rate, band(500, 2000, order=3))
    return energy**1.5 * low + energy**2.5 * high


def rumble(rng: np.random.Generator, samples: int, rate: int, energy: Signal) -> Signal:
    """A rolling object, mono: low noise that throbs with each turn, faster with `energy` (0..1, one value a sample)."""
    turns = np.cumsum(2 + 6 * energy) / rate
    throb = 0.6 + 0.4 * np.sin(2 * np.pi * turns)
    rolling: Signal = np.sqrt(energy) * throb * shaped_noise(rng, samples, rate, band(70, 350, order=3))
    return rolling


def tone(rate: int, radius: Signal) -> Signal:
    """A soft tone, mono, whose pitch rises as an object grows (one radius in shorter sides a sample, 0 is silence)."""
    pitch_hz = 2200 * radius
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate
    window = np.hanning(2 * int(0.03 * rate) + 1)
    loudness = np.convolve(radius > 0, window / window.sum(), "same")
    sounding: Signal = loudness * (np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase))
    return sounding
