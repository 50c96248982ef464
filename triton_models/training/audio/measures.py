"""What can be measured of a sound without another model: onsets against known times, and simple spectral profiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Stereo = NDArray[np.float32]
Vector = NDArray[np.float64]

_FRAME = 512
_REACH_S = 0.15
_BAND_EDGES_HZ = (40, 120, 250, 500, 1000, 2000, 3500, 5500, 8000, 12_000)


def onset_offsets_ms(stereo: Stereo, rate: int, times_s: list[float]) -> list[float]:
    """For each time, how late (positive) the steepest rise of loudness within 150 ms of it is.

    Loudness is the energy of 5 ms in steps of 1 ms; its logarithm's rise over 10 ms locates an onset to about 3 ms.
    """
    power = (stereo.astype(np.float64) ** 2).mean(axis=0)
    step = rate // 1000
    cumulative = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, len(power) - 5 * step, step)
    loudness = np.log(np.sqrt((cumulative[starts + 5 * step] - cumulative[starts]) / (5 * step)) + 2e-3)
    rise = loudness[10:] - loudness[:-10]
    # The rise at index i spans i to i + 15 ms; a sudden onset gives its maximum around 10 ms after its start.
    return [_steepest(rise, round(1000 * at) - 10) for at in times_s]


def _steepest(rise: Vector, expected: int) -> float:
    reach = round(1000 * _REACH_S)
    low, high = max(expected - reach, 0), min(expected + reach + 1, len(rise))
    window = rise[low:high]
    # A plateau has many equal maxima; its middle is unbiased.
    best = np.flatnonzero(window > window.max() - 0.02)
    return float(best.mean() + low - expected)


def spectral_profile(stereo: Stereo, rate: int) -> Vector:
    """[20] what tells ambiences apart: level and unsteadiness of nine bands, tonality, and slow swell."""
    mono = stereo.astype(np.float64).mean(axis=0)
    frames = np.lib.stride_tricks.sliding_window_view(mono, _FRAME)[:: _FRAME // 2] * np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-8
    hz = np.fft.rfftfreq(_FRAME, 1 / rate)
    edges = pairwise(_BAND_EDGES_HZ)
    bands = np.log(np.stack([power[:, (hz >= low) & (hz < high)].mean(axis=1) for low, high in edges], axis=1))
    slow = np.array([part.mean() for part in np.array_split(bands.mean(axis=1), 10)])
    return np.concatenate([np.median(bands, axis=0), bands.std(axis=0), [tonality(stereo, rate), slow.std()]])


def tonality(stereo: Stereo, rate: int) -> float:
    """Mean over time of log (peak / mean) of the spectrum from 150 Hz to 6 kHz: rain is near 2, a chord above 4."""
    mono = stereo.astype(np.float64).mean(axis=0)
    size = 4 * _FRAME
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[:: size // 2] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-10
    hz = np.fft.rfftfreq(size, 1 / rate)
    heard = power[:, (hz >= 150) & (hz <= 6000)]
    return float(np.log(heard.max(axis=1) / heard.mean(axis=1)).mean())


def level_db(stereo: Stereo) -> float:
    """RMS level in dB below full scale; -120 for silence."""
    return float(20 * np.log10(np.sqrt((stereo.astype(np.float64) ** 2).mean()) + 1e-6))


@dataclass(frozen=True)
class NearestProfile:
    """Names a sound by the nearest mean profile, each measure in units of its spread within a class."""

    names: tuple[str, ...]
    centres: Vector
    spread: Vector

    @classmethod
    def fit(cls, profiles: dict[str, list[Vector]]) -> NearestProfile:
        """Learn from profiles of known sounds."""
        centres = np.stack([np.mean(rows, axis=0) for rows in profiles.values()])
        within = np.concatenate([np.stack(rows) - np.mean(rows, axis=0) for rows in profiles.values()])
        return cls(tuple(profiles), centres, within.std(axis=0) + 0.1)

    def name(self, profile: Vector) -> str:
        """The best-fitting name."""
        distances = (((profile - self.centres) / self.spread) ** 2).sum(axis=1)
        return self.names[int(distances.argmin())]
