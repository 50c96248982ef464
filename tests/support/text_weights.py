"""A model directory that holds an untrained text encoder: enough for the encoder service."""

from __future__ import annotations

from pathlib import Path

import torch

from triton_models.modeling.reference import TEXT_FILE, ReferenceConfig, save_config, save_weights
from triton_models.modeling.text import TextEncoder


def write_text_model(directory: Path, seed: int = 0) -> Path:
    """Writes its configuration and weights; returns the directory."""
    config = ReferenceConfig()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        save_weights(TextEncoder(config.text), directory / TEXT_FILE)
    save_config(config, directory)
    return directory
