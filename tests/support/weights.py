"""A model directory with random weights: right in form and fast to make, for tests that do not look at the picture."""

from __future__ import annotations

from pathlib import Path

import torch

from triton_models.modeling.audio.model import AudioConfig, AudioNetworks, save_audio_model
from triton_models.modeling.dit import VideoDiT
from triton_models.modeling.preview import LatentPreview
from triton_models.modeling.reference import (
    DIT_FILE,
    TEXT_FILE,
    UPSAMPLER_FILE,
    VAE_FILE,
    ReferenceConfig,
    save_config,
    save_weights,
)
from triton_models.modeling.shapes import LATENT_CHANNELS
from triton_models.modeling.text import TextEncoder
from triton_models.modeling.upsampler import Upsampler, UpsamplerConfig
from triton_models.modeling.vae import VideoVAE


def write_random_weights(directory: Path) -> ReferenceConfig:
    """Writes a model directory of the tiny configuration; returns that configuration."""
    config = ReferenceConfig()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(TextEncoder(config.text), directory / TEXT_FILE)
        save_weights(_shaken(VideoDiT(config.dit)), directory / DIT_FILE)
        save_weights(VideoVAE(config.vae), directory / VAE_FILE)
        save_weights(Upsampler(config.upsampler or UpsamplerConfig()), directory / UPSAMPLER_FILE)
        LatentPreview(torch.randn(LATENT_CHANNELS, 3), torch.randn(3)).save(directory)
        save_config(config, directory)
        audio = AudioConfig()
        save_audio_model(audio, AudioNetworks(audio), directory)
    return config


def _shaken(dit: VideoDiT) -> VideoDiT:
    """Gates start at zero, and a network that does nothing would hide what depends on its inputs."""
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return dit
