"""Sound pictures to a short sequence of latents and back: the audio VAE.

A latent frame stands for four spectrogram frames (40 ms) of all mel bands plus the stereo cues. The encoder is linear
(initialised with the principal components of real sound) and the decoder adds a residual convolution to its
transpose. The posterior's variance is one constant: the decoder is trained on latents with that noise, so that it
forgives the small errors of a sampler (a sigma-VAE without a learned variance).

Legend: B batch, L latent frames, C latent channels, D features of a latent frame, M mel bands, F = 4 L spectrogram
frames, S stereo bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from .spectrum import FRAMES_PER_LATENT, MEL_BANDS, STEREO_BANDS, SoundPicture

FEATURES = MEL_BANDS * FRAMES_PER_LATENT + 2 * STEREO_BANDS

_STEREO_WEIGHT = 4.0
"""Stereo cues move less than loudness; this makes both matter to the principal components."""


@dataclass(frozen=True)
class AudioAutoencoderConfig:
    """Sizes of the audio VAE."""

    channels: int = 64
    width: int = 160
    posterior_std: float = 0.1
    """Noise on the (unit-variance) latents during training."""


class AudioAutoencoder(nn.Module):
    """Linear encoder, linear plus convolutional decoder; latents have about unit variance."""

    def __init__(self, config: AudioAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Linear(FEATURES, config.channels)
        self.decoder = nn.Linear(config.channels, FEATURES)
        correct = nn.Conv1d(config.width, FEATURES, 1)
        nn.init.zeros_(correct.weight)
        self.refine = nn.Sequential(
            nn.Conv1d(config.channels, config.width, 3, padding=1),
            nn.SiLU(),
            nn.Conv1d(config.width, config.width, 3, padding=1),
            nn.SiLU(),
            correct,
        )

    def encode(self, picture: SoundPicture) -> Tensor:
        """Latents [B, L, C] of a sound picture."""
        latents: Tensor = self.encoder(to_features(picture))
        return latents

    def decode(self, latents_BLC: Tensor) -> SoundPicture:
        """The sound picture that latents stand for."""
        return from_features(self.features(latents_BLC))

    def features(self, latents_BLC: Tensor) -> Tensor:
        """Features [B, L, D], before they are taken apart."""
        features: Tensor = self.decoder(latents_BLC) + self.refine(latents_BLC.transpose(1, 2)).transpose(1, 2)
        return features

    @torch.no_grad()
    def initialise(self, features_ND: Tensor) -> None:
        """Set the linear parts to the principal components of example features, whitened by half (sd ** 0.5).

        Half-whitening keeps the dominant components dominant, which a sampler needs (models.md, section 4); a common
        scale then brings the latents to unit variance.
        """
        mean = features_ND.mean(dim=0)
        _, vectors = torch.linalg.eigh(torch.cov(features_ND.T))
        basis_DC = vectors[:, -self.config.channels :].flip(1)
        scale_C = ((features_ND - mean) @ basis_DC).std(dim=0).sqrt()
        scale_C = scale_C * (((features_ND - mean) @ basis_DC) / scale_C).std()
        self.encoder.weight.copy_((basis_DC / scale_C).T)
        self.encoder.bias.copy_(-(mean @ basis_DC) / scale_C)
        self.decoder.weight.copy_(basis_DC * scale_C)
        self.decoder.bias.copy_(mean)


def to_features(picture: SoundPicture) -> Tensor:
    """[B, L, D] from a sound picture."""
    mel_BLD = rearrange(picture.log_mel_BMF, "b m (l f) -> b l (m f)", f=FRAMES_PER_LATENT)
    stereo = torch.cat([picture.level_BSL, picture.coherence_BSL], dim=1).transpose(1, 2)
    return torch.cat([mel_BLD, _STEREO_WEIGHT * stereo], dim=-1)


def from_features(features_BLD: Tensor) -> SoundPicture:
    """The sound picture of features [B, L, D]."""
    sizes = [MEL_BANDS * FRAMES_PER_LATENT, STEREO_BANDS, STEREO_BANDS]
    mel, level, coherence = torch.split(features_BLD, sizes, dim=-1)
    log_mel = rearrange(mel, "b l (m f) -> b m (l f)", f=FRAMES_PER_LATENT)
    stereo = (cue.transpose(1, 2) / _STEREO_WEIGHT for cue in (level, coherence))
    return SoundPicture(log_mel, *stereo)
