"""Measures and corrects the offset between picture and sound (Algorithm 6: cross-correlation and time shift).

Both are reduced to an envelope at 100 Hz: the sound's rising loudness, and how loud the picture looks. The peak of
their normalised cross-correlation, refined by a parabola, is the offset.

Source: `lip_sync_alignment` and `find_optimal_offset` of the low-level design.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENVELOPE_RATE_HZ = 100.0
MAX_OFFSET_S = 0.3
SHIFT_FROM_MS = 20.0
"""Smaller offsets are left alone: they are finer than picture frames and nobody notices (ITU-R BT.1359: +45/-125
ms)."""
LEAST_CONFIDENCE = 0.35
"""Correlation below which picture and sound have too little in common to shift one by the other."""

Envelope = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """How far sound and picture are apart. Positive: the sound is late."""

    offset_ms: float
    """As generated, before any shift."""
    confidence: float
    """Height of the correlation's peak, -1 to 1."""
    applied_shift_ms: float
    """By how much the sound was moved; negative is earlier, 0 if it was left alone."""
    remaining_ms: float
    """The offset after the shift."""


def onset_envelope(stereo_2N: NDArray[np.float32], sample_rate: int) -> Envelope:
    """[T] at 100 Hz: how much louder each 10 ms is than the 50 ms before it; 0 where it is not."""
    hop = round(sample_rate / ENVELOPE_RATE_HZ)
    frames = stereo_2N.shape[1] // hop
    if frames == 0:
        return np.zeros(0)
    blocks = stereo_2N[:, : frames * hop].astype(np.float64).reshape(2, frames, hop)
    loudness = np.sqrt((blocks**2).mean(axis=(0, 2)))
    before = np.lib.stride_tricks.sliding_window_view(np.pad(loudness, (5, 0), mode="edge"), 5)[:-1].mean(axis=1)
    rise: Envelope = np.maximum(np.log(loudness + 1e-3) - np.log(before + 1e-3), 0)
    return rise


def resampled(track: NDArray[np.float32], rate_hz: float, frames: int) -> Envelope:
    """A track whose sample i is at (i + 0.5) / rate as `frames` samples at 100 Hz."""
    at = (np.arange(frames) + 0.5) / ENVELOPE_RATE_HZ
    values: Envelope = np.interp(at, (np.arange(len(track)) + 0.5) / rate_hz, track)
    return values


def find_optimal_offset(sound: Envelope, picture: Envelope) -> tuple[float, float]:
    """(offset in ms, confidence) of two envelopes at 100 Hz of one length; positive where the sound is late.

    Where either is flat there is nothing to compare: (0, 0).
    """
    a, b = sound - sound.mean(), picture - picture.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    reach = min(round(MAX_OFFSET_S * ENVELOPE_RATE_HZ), len(a) - 1)
    if norm < 1e-9 or reach < 1:
        return 0.0, 0.0
    correlation = np.correlate(a, b, mode="full")[len(a) - 1 - reach : len(a) + reach] / norm
    peak = int(correlation.argmax())
    refined = peak + _parabola(correlation, peak)
    return (refined - reach) * 1000 / ENVELOPE_RATE_HZ, float(correlation[peak])


def align(
    stereo_2N: NDArray[np.float32], sample_rate: int, picture: NDArray[np.float32], picture_rate_hz: float
) -> tuple[NDArray[np.float32], SyncReport]:
    """The waveform, moved where it is clearly out of step with `picture` (a loudness track), and what was measured."""
    sound = onset_envelope(stereo_2N, sample_rate)
    seen = resampled(picture, picture_rate_hz, len(sound))
    offset_ms, confidence = find_optimal_offset(sound, seen)
    if confidence < LEAST_CONFIDENCE or abs(offset_ms) < SHIFT_FROM_MS:
        return stereo_2N, SyncReport(offset_ms, confidence, 0.0, offset_ms)
    moved = time_shift(stereo_2N, round(-offset_ms * sample_rate / 1000))
    remaining_ms, _ = find_optimal_offset(onset_envelope(moved, sample_rate), seen)
    return moved, SyncReport(offset_ms, confidence, -offset_ms, remaining_ms)


def time_shift(stereo_2N: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Move the sound later (positive) or earlier; the length stays, and the gap is filled by mirroring the edge."""
    if samples == 0:
        return stereo_2N
    if samples > 0:
        return np.pad(stereo_2N, ((0, 0), (samples, 0)), mode="symmetric")[:, :-samples]
    return np.pad(stereo_2N, ((0, 0), (0, -samples)), mode="symmetric")[:, -samples:]


def _parabola(values: Envelope, peak: int) -> float:
    """Where, within half a sample of `peak`, the parabola through it and its neighbours is highest."""
    if peak in (0, len(values) - 1):
        return 0.0
    before, here, after = values[peak - 1 : peak + 2]
    curvature = before - 2 * here + after
    return float(0.5 * (before - after) / curvature) if curvature < 0 else 0.0
