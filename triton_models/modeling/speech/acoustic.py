"""Sounds to durations and a log-mel spectrogram, all frames at once.

As FastSpeech (Ren et al. 2019), with convolutions: an encoder reads the sounds and says how long each takes; each is
repeated for its frames, which also know where in their sound they are; a decoder draws the spectrogram.

Legend: B sentences, L sounds, D width, F frames (100 a second), M mel bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from triton_models.modeling.audio.spectrum import HOP, MEL_BANDS, SAMPLE_RATE

from .blocks import ConvStack, mask_of
from .phonemes import SOUNDS

FRAMES_PER_S = SAMPLE_RATE / HOP

_MEAN, _SPREAD = -5.5, 2.5
"""Of the log-mel values of speech, roughly: the networks work near 0 and 1."""


@dataclass(frozen=True)
class AcousticConfig:
    """Sizes of the network."""

    voices: int = 3
    width: int = 128
    encoder_depth: int = 3
    decoder_depth: int = 4


class AcousticNet(nn.Module):
    """Speaks in one of several voices."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        width = config.width
        self.embed = nn.Embedding(len(SOUNDS), width)
        self.voice = nn.Embedding(config.voices, width)
        self.encoder = ConvStack(width, config.encoder_depth)
        self.duration = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.place = nn.Linear(3, width)
        self.decoder = ConvStack(width, config.decoder_depth)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, MEL_BANDS))

    def encode(self, sounds_BL: Tensor, lengths_B: Tensor, voices_B: Tensor) -> tuple[Tensor, Tensor]:
        """What each sound is in its surroundings [B, L, D], and the logarithm of 1 plus its frames [B, L]."""
        x_BLD = self.embed(sounds_BL) + self.voice(voices_B)[:, None]
        x_BLD = self.encoder(x_BLD, mask_of(lengths_B, sounds_BL.shape[1]))
        return x_BLD, self.duration(x_BLD)[..., 0]

    def decode(self, x_BLD: Tensor, frames_BL: Tensor) -> Tensor:
        """The log-mel spectrogram [B, F, M] of sounds that take `frames_BL` frames; rows end in padding."""
        spread = [row.repeat_interleave(frames, dim=0) for row, frames in zip(x_BLD, frames_BL, strict=True)]
        places = [_places(frames) for frames in frames_BL]
        totals_B = frames_BL.sum(dim=1)
        x_BFD = _padded(spread) + self.place(_padded(places))
        mel: Tensor = self.out(self.decoder(x_BFD, mask_of(totals_B, int(totals_B.max()))))
        return mel * _SPREAD + _MEAN


def numbers(sounds: Sequence[str]) -> Tensor:
    """Their numbers in the networks."""
    return torch.tensor([SOUNDS.index(sound) for sound in sounds])


def _places(frames_L: Tensor) -> Tensor:
    """[F, 3] of each frame: tenths of a second since its sound began, until it ends, and the sound's share done."""
    lengths_F = frames_L.repeat_interleave(frames_L)
    begins_F = (frames_L.cumsum(0) - frames_L).repeat_interleave(frames_L)
    since_F = torch.arange(len(lengths_F), device=frames_L.device) - begins_F + 0.5
    return torch.stack([since_F / 10, (lengths_F - since_F) / 10, since_F / lengths_F], dim=1)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
