"""Filtered noise and envelopes: what every natural sound of the world is made of.

Signals are float64 arrays of one channel; frequencies in Hz, times in seconds, rates in samples per second.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
Response = Callable[[Signal], Signal]
"""A magnitude response: frequencies in Hz to gains."""


def shaped_noise(rng: np.random.Generator, samples: int, rate: int, response: Response) -> Signal:
    """Gaussian noise with the given magnitude response, scaled to an RMS of one."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    noise = np.fft.irfft(spectrum * response(np.fft.rfftfreq(samples, 1 / rate)), samples)
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-9)


def band(low_hz: float, high_hz: float, order: int = 2) -> Response:
    """A smooth band-pass response with Butterworth-like skirts of `order`."""

    def response(frequency: Signal) -> Signal:
        safe = np.maximum(frequency, 1e-3)
        return 1 / np.sqrt((1 + (low_hz / safe) ** (2 * order)) * (1 + (safe / high_hz) ** (2 * order)))

    return response


def slow_curve(rng: np.random.Generator, samples: int, rate: int, period_s: float) -> Signal:
    """A smooth random curve in 0..1 whose turns are about `period_s` apart."""
    knots = max(int(np.ceil(samples / rate / period_s)) + 3, 4)
    values = rng.random(knots)
    position = np.arange(samples) / (rate * period_s) + rng.random()
    left = position.astype(int)
    blend = (1 - np.cos(np.pi * (position - left))) / 2
    curve: Signal = values[left] * (1 - blend) + values[left + 1] * blend
    return curve


def decay(samples: int, rate: int, attack_s: float, decay_s: float) -> Signal:
    """A linear attack followed by an exponential decay with time constant `decay_s`."""
    t = np.arange(samples) / rate
    envelope: Signal = np.minimum(t / attack_s, 1.0) * np.exp(-np.maximum(t - attack_s, 0) / decay_s)
    return envelope


def add_at(target: Signal, sound: Signal, start: int) -> None:
    """Mix `sound` into the last axis of `target` from sample `start`; what lies outside is dropped."""
    skip = max(-start, 0)
    start += skip
    stop = min(start + sound.shape[-1] - skip, target.shape[-1])
    if stop > start:
        target[..., start:stop] += sound[..., skip : skip + stop - start]


def panned(mono: Signal, position: Signal | float) -> Signal:
    """Place a mono signal in stereo [2, N] at constant power; position -1 (left) to 1 (right)."""
    angle = (np.clip(position, -1, 1) + 1) * (np.pi / 4)
    return np.stack([mono * np.cos(angle), mono * np.sin(angle)])
