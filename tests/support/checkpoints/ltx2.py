"""LTX-2 with 500 thousand parameters: as many blocks as guidance needs to skip its own, and sound at 24 kHz."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2 import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from tests.support.checkpoints.text import VOCABULARY, WIDTH, tokenizer

_LAYERS = 2
"""Of the text encoder."""


def write_ltx2(directory: Path) -> None:
    """Writes a checkpoint with the layout and the configuration files of `Lightricks/LTX-2`."""
    torch.manual_seed(0)
    pipeline = LTX2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024,
            max_image_seq_len=4096, shift_terminal=0.1,
        ),
        vae=_video_vae(),
        audio_vae=_audio_vae(),
        text_encoder=_gemma(),
        tokenizer=tokenizer(1024, left=True),
        connectors=_connectors(),
        transformer=_transformer(),
        vocoder=LTX2Vocoder(in_channels=16, hidden_channels=32, resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]]),
    )  # fmt: skip
    pipeline.save_pretrained(directory)


def _transformer() -> LTX2VideoTransformer3DModel:
    return LTX2VideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        vae_scale_factors=(2, 8, 8),
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        # Guidance leaves the attention of block 28 out.
        num_layers=30,
        perturbed_attn=True,
        caption_channels=WIDTH,
        rope_double_precision=False,
        rope_type="split",
    )


def _connectors() -> LTX2TextConnectors:
    return LTX2TextConnectors(
        caption_channels=WIDTH,
        text_proj_in_factor=_LAYERS + 1,
        video_connector_num_attention_heads=4,
        video_connector_attention_head_dim=8,
        video_connector_num_layers=1,
        audio_connector_num_attention_heads=4,
        audio_connector_attention_head_dim=8,
        audio_connector_num_layers=1,
        rope_double_precision=False,
        rope_type="split",
    )


def _video_vae() -> AutoencoderKLLTX2Video:
    """A latent is 8 x 8 pixels of 2 frames."""
    vae = AutoencoderKLLTX2Video(
        latent_channels=4,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatial",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        decoder_causal=False,
    )
    torch.nn.init.normal_(vae.latents_mean, std=0.1)
    torch.nn.init.uniform_(vae.latents_std, 0.5, 1.5)
    return vae


def _audio_vae() -> AutoencoderKLLTX2Audio:
    vae = AutoencoderKLLTX2Audio(
        base_channels=4, ch_mult=(1,), num_res_blocks=1, resolution=32, latent_channels=2, mel_bins=8
    )
    torch.nn.init.normal_(vae.latents_mean, std=0.1)
    torch.nn.init.uniform_(vae.latents_std, 0.5, 1.5)
    return vae


def _gemma() -> Gemma3ForConditionalGeneration:
    text = {
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": 37, "num_hidden_layers": _LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024,
    }  # fmt: skip
    vision = {
        "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 14, "patch_size": 14,
    }  # fmt: skip
    # The tokens of pictures lie beyond the vocabulary: there are none.
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1, image_token_index=VOCABULARY)
    return Gemma3ForConditionalGeneration(config)
