"""Waveforms to log-mel spectrograms with stereo cues, and back.

The representation is parametric stereo: one log-mel spectrogram of the loudness of both channels together, and per
latent frame and band the level difference and the coherence of the two channels (the IID and ICC of MPEG-4 parametric
stereo). One spectrogram is then inverted for both channels, by Griffin-Lim with momentum (Perraudin, Balazs,
Sondergaard 2013), whose start phases come from the seed.

Legend: B batch, N samples, F spectrogram frames (100 a second), K bins, M mel bands, L latent frames (25 a second), S
stereo bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

SAMPLE_RATE = 24_000
HOP = 240
WINDOW = 1024
MEL_BANDS = 80
FRAMES_PER_LATENT = 4
SAMPLES_PER_LATENT = HOP * FRAMES_PER_LATENT
LATENT_RATE_HZ = SAMPLE_RATE / SAMPLES_PER_LATENT

_STEREO_EDGES_HZ = (0.0, 300.0, 800.0, 2000.0, 5000.0, 12_000.0)
STEREO_BANDS = len(_STEREO_EDGES_HZ) - 1

_FLOOR = 1e-4
"""Magnitude (a full-scale sine is 1) below which the logarithm flattens: -80 dB."""
_FLAT = 0.3
"""Nepers by which a point may stand out of its surroundings and still be noise."""
_LEVEL_RANGE = 2.0
"""Level differences are clipped to this many nepers (17 dB)."""


@dataclass(frozen=True)
class SoundPicture:
    """What the ear gets from a stereo sound, without its phases."""

    log_mel_BMF: Tensor
    """Natural logarithm of the magnitude in each mel band, both channels together."""
    level_BSL: Tensor
    """Half the log power ratio of left to right, in nepers within -2..2."""
    coherence_BSL: Tensor
    """-1 (opposite phase) over 0 (independent) to 1 (the same signal in both channels)."""


def latent_frames(samples: int) -> int:
    """Latent frames that cover `samples`; the last may be partly padding."""
    return -(-samples // SAMPLES_PER_LATENT)


def analyse(stereo_B2N: Tensor) -> SoundPicture:
    """Spectrogram and stereo cues of float waveforms in -1..1, padded with silence to whole latent frames."""
    frames = latent_frames(stereo_B2N.shape[-1]) * FRAMES_PER_LATENT
    padded = functional.pad(stereo_B2N, (0, frames * HOP - stereo_B2N.shape[-1]))
    left, right = _stft(padded[:, 0])[..., :frames], _stft(padded[:, 1])[..., :frames]
    power_BKF = (left.abs() ** 2 + right.abs() ** 2) / 2
    log_mel = torch.log(torch.sqrt(_mel_matrix() @ power_BKF) + _FLOOR)
    return SoundPicture(log_mel, *_stereo_cues(left, right))


def synthesise(picture: SoundPicture, samples: int, seed: int, iterations: int = 24) -> Tensor:
    """Stereo waveform [B, 2, samples] float32 with the given picture; the same seed gives the same bits."""
    magnitude_BKF = _magnitude(picture.log_mel_BMF)
    grain_BKF = _white_noise(magnitude_BKF.shape, seed)
    grainy_BKF = magnitude_BKF * grain_BKF.abs() ** (_mel_inverse() @ noisiness(picture.log_mel_BMF))
    carrier = griffin_lim(_held(grainy_BKF), _held(grain_BKF).angle(), iterations)
    left, right = _place(carrier, carrier * _twist(), picture)
    stereo = torch.stack([_istft(left), _istft(right)], dim=1)[..., :samples]
    return stereo.clamp(-1, 1)


def synthesise_mono(log_mel_BMF: Tensor, seed: int, iterations: int) -> Tensor:
    """Waveform [B, F hops] float32 of a spectrogram that brings its own grain, as speech does."""
    magnitude_BKF = _held(_magnitude(log_mel_BMF))
    phase_BKF = 2 * torch.pi * torch.rand(magnitude_BKF.shape, generator=torch.Generator().manual_seed(seed))
    return _istft(griffin_lim(magnitude_BKF, phase_BKF, iterations)).clamp(-1, 1)


def _magnitude(log_mel_BMF: Tensor) -> Tensor:
    """[B, K, F] of each bin, from the bands around it."""
    mel_power = torch.clamp(log_mel_BMF.exp() - _FLOOR, min=0) ** 2
    return torch.sqrt(torch.clamp(_mel_inverse() @ mel_power, min=0))


def noisiness(log_mel_BMF: Tensor) -> Tensor:
    """[B, M, F] 1 where the spectrogram is flat around a point, as noise is, down to 0 at tones and hits.

    A mel band averages away the random grain of noise, and Griffin-Lim would give it back as an unnaturally even sound;
    so noise gets new grain, and what stands out of its surroundings does not.
    """
    around = functional.avg_pool2d(log_mel_BMF[:, None], (5, 9), stride=1, padding=(2, 4), count_include_pad=False)[
        :, 0
    ]
    relief = ((log_mel_BMF - around).abs() - _FLAT).clamp(min=0)
    return torch.exp(-((relief / _FLAT) ** 2))


def _white_noise(shape: torch.Size, seed: int) -> Tensor:
    """[B, K, F] the spectrogram of white noise at a mean power of one."""
    batch, _, frames = shape
    noise = torch.randn(batch, frames * HOP, generator=torch.Generator().manual_seed(seed))
    spectrum = _stft(noise)[..., :frames]
    return spectrum / spectrum.abs().square().mean().sqrt()


def griffin_lim(magnitude_BKF: Tensor, phase_BKF: Tensor, iterations: int) -> Tensor:
    """A complex spectrogram with nearly the given magnitudes that some waveform really has, from a first phase."""
    current = torch.polar(magnitude_BKF, phase_BKF)
    previous = torch.zeros_like(current)
    for _ in range(iterations):
        consistent = _stft(_istft(current))
        moved = consistent + 0.9 * (consistent - previous)
        current = magnitude_BKF * moved / moved.abs().clamp(min=1e-9)
        previous = consistent
    return current


def _place(carrier_BKF: Tensor, twisted_BKF: Tensor, picture: SoundPicture) -> tuple[Tensor, Tensor]:
    """Mix a carrier and its decorrelated twin so that level difference and coherence come out as asked."""
    frames = carrier_BKF.shape[-1]
    level = _spread(picture.level_BSL, frames).clamp(-_LEVEL_RANGE, _LEVEL_RANGE)
    angle = torch.arccos(_spread(picture.coherence_BSL, frames).clamp(-1, 1)) / 2
    common, own = carrier_BKF * angle.cos(), twisted_BKF * angle.sin()
    left_gain = torch.sqrt(2 / (1 + torch.exp(-2 * level)))
    right_gain = torch.sqrt(2 / (1 + torch.exp(2 * level)))
    return left_gain * (common + own), right_gain * (common - own)


def _stereo_cues(left_BKF: Tensor, right_BKF: Tensor) -> tuple[Tensor, Tensor]:
    bands_SK = _stereo_matrix()

    def pooled(values_BKF: Tensor) -> Tensor:
        return functional.avg_pool1d(bands_SK @ values_BKF, FRAMES_PER_LATENT)

    left, right = pooled(left_BKF.abs() ** 2) + 1e-10, pooled(right_BKF.abs() ** 2) + 1e-10
    cross = pooled((left_BKF * right_BKF.conj()).real)
    level = (torch.log(left / right) / 2).clamp(-_LEVEL_RANGE, _LEVEL_RANGE)
    return level, (cross / torch.sqrt(left * right)).clamp(-1, 1)


def _held(frames_BKF: Tensor) -> Tensor:
    """One frame more, the last again: the inverse transform needs a frame at both ends of the waveform."""
    return torch.cat([frames_BKF, frames_BKF[..., -1:]], dim=-1)


def _spread(cues_BSL: Tensor, frames: int) -> Tensor:
    """Stereo cues of bands and latent frames to every bin and spectrogram frame."""
    per_frame = cues_BSL.repeat_interleave(FRAMES_PER_LATENT, dim=-1)
    per_frame = _held(per_frame)[..., :frames]
    return (_stereo_matrix() > 0).float().T @ per_frame


def _stft(wave_BN: Tensor) -> Tensor:
    spectrum = torch.stft(wave_BN, WINDOW, HOP, window=_window(), pad_mode="constant", return_complex=True)
    return spectrum * (2 / _window().sum())


def _istft(spectrum_BKF: Tensor) -> Tensor:
    return torch.istft(spectrum_BKF / (2 / _window().sum()), WINDOW, HOP, window=_window())


@cache
def _window() -> Tensor:
    return torch.hann_window(WINDOW)


@cache
def _twist() -> Tensor:
    """[K, 1] phases of the decorrelated twin: a quarter turn, swinging by two radians every twelve bins.

    At a quarter turn carrier plus twin and carrier minus twin are equally loud; the swing is an all-pass of some
    milliseconds (Orban's pseudo-stereo), short enough not to smear a hit.
    """
    bins = torch.arange(WINDOW // 2 + 1)
    return torch.exp(1j * (torch.pi / 2 + 2 * torch.sin(2 * torch.pi * bins / 12)))[:, None]


@cache
def _mel_triangles() -> Tensor:
    """[M, K] overlapping triangles of height one on the mel scale, from 30 Hz to half the sample rate."""
    hz_K = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    mel_K = 2595 * torch.log10(1 + hz_K / 700)
    lowest = 2595 * torch.log10(torch.tensor(1 + 30 / 700))
    edges = torch.linspace(float(lowest), float(mel_K[-1]), MEL_BANDS + 2)[:, None]
    rise = (mel_K - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - mel_K) / (edges[2:] - edges[1:-1])
    return torch.minimum(rise, fall).clamp(min=0)


@cache
def _mel_matrix() -> Tensor:
    """[M, K] mean power of each band."""
    triangles = _mel_triangles()
    return triangles / triangles.sum(dim=1, keepdim=True)


@cache
def _mel_inverse() -> Tensor:
    """[K, M] power of each bin interpolated from the bands around it; never negative, silent below the lowest band."""
    triangles = _mel_triangles().T
    return triangles / triangles.sum(dim=1, keepdim=True).clamp(min=1e-3)


@cache
def _stereo_matrix() -> Tensor:
    """[S, K] rectangular bands, each summing to one."""
    hz_K = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    edges = torch.tensor(_STEREO_EDGES_HZ)
    bands = ((hz_K >= edges[:-1, None]) & (hz_K < edges[1:, None])).float()
    bands[-1, -1] = 1
    return bands / bands.sum(dim=1, keepdim=True)
