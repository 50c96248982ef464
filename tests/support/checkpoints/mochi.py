"""Mochi 1 with 20 thousand parameters and its own proportions: a latent is 8 x 8 pixels of 6 frames."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiPipeline, MochiTransformer3DModel

from tests.support.checkpoints.text import WIDTH, t5, tokenizer


def write_mochi(directory: Path) -> None:
    """Writes a checkpoint with the layout and the configuration files of `genmo/mochi-1-preview`."""
    torch.manual_seed(0)
    transformer = MochiTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        text_embed_dim=WIDTH,
        time_embed_dim=4,
    )
    torch.nn.init.normal_(transformer.pos_frequencies, std=0.1)
    vae = AutoencoderKLMochi(
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    pipeline = MochiPipeline(scheduler, vae, t5(), tokenizer(256), transformer, force_zeros_for_empty_prompt=True)
    pipeline.save_pretrained(directory)
