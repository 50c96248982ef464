"""Wan 2.1 with 40 thousand parameters and its own proportions: a latent is 8 x 8 pixels of 4 frames."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)

from tests.support.checkpoints.text import WIDTH, tokenizer, umt5


def write_wan(directory: Path, *, euler: bool = False) -> None:
    """Writes a checkpoint with the layout and the configuration files of `Wan-AI/Wan2.1-T2V-1.3B-Diffusers`."""
    torch.manual_seed(0)
    transformer = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=WIDTH, ffn_dim=32, num_layers=2, rope_max_seq_len=32
    )
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.1)
    vae = AutoencoderKLWan(base_dim=3, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    scheduler = (
        FlowMatchEulerDiscreteScheduler(shift=3.0)
        if euler
        else UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    )
    WanPipeline(tokenizer(512), umt5(), vae, scheduler, transformer).save_pretrained(directory)
