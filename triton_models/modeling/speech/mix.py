"""Laying a voice over the sound of a scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

VOICE_RMS = 0.12
"""Of the voice where it speaks: some 18 dB under full scale, well above any ambience."""
DUCKED = 0.2
"""What is left of the scene's sound while somebody speaks (-14 dB); at -8 dB crickets hid words from a recogniser."""

_ENVELOPE_S = 0.08
_SPEAKING = 0.02
"""Share of the voice's peak above which it counts as speaking."""


def mixed(scene_2N: Wave, voice_N: Wave, sample_rate: int) -> Wave:
    """Stereo [2, N] in -1..1 of both, the voice in the middle and the scene lower while it speaks."""
    peak = float(np.abs(voice_N).max(initial=0))
    if peak == 0:
        return scene_2N
    speaking = _smoothed((np.abs(voice_N) > _SPEAKING * peak).astype(np.float64), round(_ENVELOPE_S * sample_rate))
    loud = voice_N[speaking > 0.5]
    level = VOICE_RMS / max(float(np.sqrt((loud.astype(np.float64) ** 2).mean())), 1e-6) if len(loud) else 0.0
    scene = scene_2N * (1 - (1 - DUCKED) * np.clip(2 * speaking, 0, 1))
    return _limited(scene + level * voice_N).astype(np.float32)


def _limited(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bends what is above 0.8 of full scale, so that sums do not clip; what is below is left alone."""
    over = np.maximum(np.abs(wave) - 0.8, 0)
    bent: NDArray[np.float64] = np.sign(wave) * (np.minimum(np.abs(wave), 0.8) + 0.2 * np.tanh(over / 0.2))
    return bent


def _smoothed(values_N: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over `width` samples around each."""
    sums = np.concatenate([[0.0], np.cumsum(values_N)])
    places = np.arange(len(values_N))
    low, high = np.maximum(places - width // 2, 0), np.minimum(places + width // 2 + 1, len(values_N))
    mean: NDArray[np.float64] = (sums[high] - sums[low]) / (high - low)
    return mean
