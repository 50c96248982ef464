"""What holds for Open-Sora's networks, weights and plans besides parity with the public code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.support.checkpoints.opensora import published, write_opensora
from triton_models.modeling.opensora.captions import caption_of
from triton_models.modeling.opensora.pipeline import decode, plan_clip
from triton_models.modeling.opensora.stdit3 import STDiT3, STDiT3Config
from triton_models.modeling.opensora.vae import OpenSoraVAE, OpenSoraVAEConfig
from triton_models.modeling.opensora.weights import (
    load_stdit3,
    load_vae,
    stdit3_config,
    stdit3_tensors,
    vae_config,
)
from triton_models.modeling.shapes import LatentShape, VideoShape


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_opensora(tmp_path / "opensora")


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_defaults_are_the_published_sizes() -> None:
    """The public transformer has 36 more, its rotary rates, and 16 rows more of its last layer, which nobody reads."""
    with torch.device("meta"):
        stdit3, vae = STDiT3(STDiT3Config()), OpenSoraVAE(OpenSoraVAEConfig())
    assert parameters_of(stdit3) == 1_207_643_972 - 36 - 16 * (1152 + 1)
    assert parameters_of(vae.spatial) == 83_653_863
    assert parameters_of(vae.temporal) == 309_687_144


def test_the_published_configurations_are_the_defaults() -> None:
    """As on the hub: the autoencoder's names its networks, and the transformer's has much that is of training."""
    ignored = {"class_dropout_prob": 0.1, "enable_flash_attn": True, "drop_path": 0.0, "torch_dtype": "float32"}
    sizes = {"hidden_size": 1152, "depth": 28, "num_heads": 16, "input_size": [None, None, None], "input_sq_size": 512}
    text = {"caption_channels": 4096, "model_max_length": 300, "qk_norm": True, "skip_y_embedder": False}
    assert (
        stdit3_config({"model_type": "STDiT3", "patch_size": [1, 2, 2], **ignored, **sizes, **text}) == STDiT3Config()
    )
    networks = {
        "vae_2d": {"type": "VideoAutoencoderKL", "subfolder": "vae"},
        "vae_temporal": {"type": "VAE_Temporal_SD"},
    }
    fields = {"model_type": "VideoAutoencoderPipeline", "micro_frame_size": None, **networks}
    assert vae_config(fields) == OpenSoraVAEConfig()


@pytest.mark.parametrize(
    "change", [{"model_type": "STDiT2"}, {"patch_size": [1, 4, 4]}, {"qk_norm": False}, {"skip_y_embedder": True}]
)
def test_other_transformers_are_refused(checkpoint: Path, change: dict[str, Any]) -> None:
    path = checkpoint / "stdit3" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (name,) = change
    with pytest.raises(ValueError, match=name):
        load_stdit3(checkpoint / "stdit3")


@pytest.mark.parametrize("missing", ["final_layer.linear.weight", "y_embedder.y_embedding", "x_embedder.proj.weight"])
def test_weights_that_lack_a_tensor_are_refused(checkpoint: Path, missing: str) -> None:
    path = checkpoint / "stdit3" / "model.safetensors"
    weights = load_file(path)
    del weights[missing]
    save_file(weights, path)
    with pytest.raises(RuntimeError, match="Missing key"):
        load_stdit3(checkpoint / "stdit3")


def test_weights_with_an_unknown_tensor_are_refused(checkpoint: Path) -> None:
    path = checkpoint / "vae" / "model.safetensors"
    save_file(load_file(path) | {"temporal_vae.extra": torch.zeros(1)}, path)
    with pytest.raises(RuntimeError, match=r"temporal\.extra"):
        load_vae(checkpoint / "vae")


def test_rotary_rates_that_are_not_stored_are_computed() -> None:
    fields, weights = published("stdit3")
    config = stdit3_config(fields)
    stored = weights.pop("rope.freqs")
    torch.testing.assert_close(stdit3_tensors(weights, config)["time_rates"], stored)


def test_half_precision_keeps_the_rotary_rates(checkpoint: Path) -> None:
    half, single = (load_stdit3(checkpoint / "stdit3", dtype) for dtype in (torch.bfloat16, torch.float32))
    assert half.dtype == half.null_text_KD.dtype == torch.bfloat16
    assert torch.equal(half.time_rates, single.time_rates)


@pytest.mark.parametrize(
    ("size", "duration_s", "shape", "latent"),
    [
        ((848, 480), 5, VideoShape(120, 480, 848), LatentShape(40, 60, 106, 4)),
        ((426, 240), 51 / 24, VideoShape(51, 240, 424), LatentShape(15, 30, 53, 4)),
        ((64, 64), 0.01, VideoShape(1, 64, 64), LatentShape(5, 8, 8, 4)),
    ],
)
def test_clips_are_made_in_whole_batches(
    size: tuple[int, int], duration_s: float, shape: VideoShape, latent: LatentShape
) -> None:
    plan = plan_clip(OpenSoraVAEConfig(), size, duration_s, 24, steps=30, guidance=7)
    assert (plan.shape, plan.latent) == (shape, latent)
    assert (plan.told.width, plan.told.height) == size


def test_larger_clips_stay_noisy_for_longer() -> None:
    sizes = ((256, 144), (426, 240), (848, 480))
    halfway = [plan_clip(OpenSoraVAEConfig(), size, 5, 24, steps=30, guidance=7).timesteps[15] for size in sizes]
    assert 0.5 < halfway[0] < halfway[1] < halfway[2] < 1


def test_a_size_below_one_latent_is_refused() -> None:
    with pytest.raises(ValueError, match="7 x 64 pixels"):
        plan_clip(OpenSoraVAEConfig(), (7, 64), 5, 24, steps=30, guidance=7)


def test_batches_are_decoded_one_at_a_time(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = load_vae(checkpoint / "vae")
    plan = plan_clip(vae.config, (16, 16), 40 / 24, 24, steps=30, guidance=7)
    decoded: list[int] = []

    def decode_batch(_: torch.Tensor, frames: int) -> torch.Tensor:
        decoded.append(frames)
        return torch.zeros(1, 4, frames, 2, 2)

    monkeypatch.setattr(vae.temporal, "decode", decode_batch)
    chunks = decode(vae, plan, torch.zeros(1, *plan.latent))
    assert len(next(chunks)) == 17
    assert decoded == [17]
    assert [len(chunk) for chunk in chunks] == [17, 6]


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("A Red Ball", "a red ball aesthetic score: 6.5."),
        ("a ball. aesthetic score: 4.0.", "a ball. aesthetic score: 4.0."),
    ],
)
def test_captions_say_how_good_the_clip_should_look(prompt: str, caption: str) -> None:
    assert caption_of(prompt) == caption
