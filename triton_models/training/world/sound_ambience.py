"""The background sound of a place: wind, rain, waves, a night of crickets, birds.

Each function returns stereo [2, N] at an RMS near one; the mixer sets the level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from .sound_noise import Signal, add_at, band, decay, panned, shaped_noise, slow_curve


def wind(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """Low noise with slow gusts; the gusts also open the band, as turbulence does."""
    gust = slow_curve(rng, samples, rate, 1.7)
    return np.stack(
        [
            shaped_noise(rng, samples, rate, band(60, 260)) * (0.5 + gust)
            + 0.5 * shaped_noise(rng, samples, rate, band(250, 700)) * gust**2
            for _ in range(2)
        ]
    )


def rain(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """A steady hiss of far drops with single near drops on top."""
    hiss = np.stack([shaped_noise(rng, samples, rate, band(900, 9000, order=1)) for _ in range(2)])
    for _ in range(rng.poisson(25 * samples / rate)):
        length = int(0.012 * rate)
        drop = rng.standard_normal(length) * decay(length, rate, 0.0005, 0.003)
        add_at(hiss, panned(drop * rng.uniform(1, 3), rng.uniform(-1, 1)), int(rng.integers(samples)))
    return hiss


def waves(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """Surf: broad noise that swells and breaks every four to six seconds."""
    period_s = rng.uniform(4, 6)
    phase = (np.arange(samples) / rate / period_s + rng.random()) % 1
    # A breaker rises slowly and falls back quickly, so the swell is a skewed pulse and not a sine.
    swell = 0.25 + np.sin(np.pi * phase**1.6) ** 2
    return np.stack(
        [
            swell * shaped_noise(rng, samples, rate, band(120, 1100, order=1))
            + 0.6 * swell**2 * shaped_noise(rng, samples, rate, band(1500, 6000, order=1))
            for _ in range(2)
        ]
    )


def night(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """Several crickets, each a carrier of 4 to 5 kHz chopped into chirps of three pulses, over soft air."""
    t = np.arange(samples) / rate
    air = 0.15 * np.stack([shaped_noise(rng, samples, rate, band(100, 600)) for _ in range(2)])
    for _ in range(3):
        carrier = np.sin(2 * np.pi * rng.uniform(4000, 5000) * t)
        chirp = (t * rng.uniform(1.6, 2.4) + rng.random()) % 1
        pulse = np.clip(np.sin(2 * np.pi * 3 * chirp / 0.35), 0, 1) * (chirp < 0.35)
        air += panned(carrier * pulse * 1.6, rng.uniform(-0.9, 0.9))
    return air


def birds(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """Short whistles gliding between 2 and 6 kHz, in phrases, over soft leaves."""
    scene = 0.2 * np.stack([shaped_noise(rng, samples, rate, band(300, 3000, order=1)) for _ in range(2)])
    for _ in range(max(rng.poisson(0.9 * samples / rate), 1)):
        start, place, pitch = rng.uniform(-0.3, samples / rate), rng.uniform(-0.9, 0.9), rng.uniform(2300, 4800)
        for note in range(rng.integers(2, 6)):
            whistle = _whistle(rng, pitch * rng.uniform(0.9, 1.15), rate)
            add_at(scene, panned(2.2 * whistle, place), int((start + 0.14 * note) * rate))
    return scene


def _whistle(rng: np.random.Generator, pitch_hz: float, rate: int) -> Signal:
    samples = int(rng.uniform(0.06, 0.12) * rate)
    glide = np.linspace(1, rng.uniform(0.75, 1.3), samples)
    whistle: Signal = np.sin(2 * np.pi * np.cumsum(pitch_hz * glide) / rate) * np.hanning(samples)
    return whistle


def city(rng: np.random.Generator, samples: int, rate: int) -> Signal:
    """A deep hum of engines, cars that pass from side to side, and now and then a horn of two notes."""
    hum = 0.5 * np.stack([shaped_noise(rng, samples, rate, band(45, 160, order=3)) for _ in range(2)])
    t = np.arange(samples) / rate
    for pitch_hz in rng.uniform(48, 75, 3):
        engine = sum(
            np.sin(2 * np.pi * (harmonic * pitch_hz * t + rng.random())) / harmonic for harmonic in range(1, 6)
        )
        hum += panned(0.4 * np.asarray(engine), rng.uniform(-0.8, 0.8))
    for _ in range(max(rng.poisson(0.35 * samples / rate), 1)):
        near, length, side = rng.uniform(0, samples / rate), rng.uniform(0.6, 1.0), rng.choice((-1, 1))
        tyres = shaped_noise(rng, samples, rate, band(250, 900)) * np.exp(-(((t - near) / length) ** 2))
        hum += panned(1.1 * tyres, side * np.clip((t - near) / length, -1, 1))
    for _ in range(max(rng.poisson(0.5 * samples / rate), 1)):
        add_at(hum, panned(_horn(rng, rate), rng.uniform(-0.8, 0.8)), int(rng.integers(samples)))
    return hum


def _horn(rng: np.random.Generator, rate: int) -> Signal:
    t = np.arange(int(rng.uniform(0.18, 0.4) * rate)) / rate
    pitch_hz = rng.uniform(380, 440)
    tone = sum(np.sin(2 * np.pi * pitch_hz * ratio * t) / ratio for ratio in (1.0, 1.26, 2.0, 2.52))
    horn: Signal = 1.1 * np.asarray(tone) * np.minimum(1, np.minimum(t, t[-1] - t) / 0.02)
    return horn


AMBIENCES: Mapping[str, Callable[[np.random.Generator, int, int], Signal]] = MappingProxyType(
    {"birds": birds, "wind": wind, "waves": waves, "night": night, "rain": rain, "city": city}
)
"""Every name of `scene.AMBIENCES`: (generator, samples, rate) to stereo [2, N]."""
