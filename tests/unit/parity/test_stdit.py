"""Our attention modules, put together as Open-Sora's first STDiT block, against that block.

Our own block differs from it on purpose: normalised queries and keys, a norm, shift, scale and gate of its own for the
temporal branch, a norm before cross-attention. Those are left out here; rotary angles are zero.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as fn

from triton_models.modeling.attention import CrossAttention, Heads, SpatialAttention, TemporalAttention, TemporalMode
from triton_models.modeling.dit import modulate

from .golden import assert_parity, golden

HEADS = 4


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return golden("stdit_block")


def load(kind: type[Heads], weights: dict[str, Tensor], *, q: str, kv: str, out: str) -> Any:
    """Fills an attention from projections that may be fused."""
    width = len(weights[f"{out}.bias"])
    attention = kind(width, HEADS, normalised=False)
    for layer, name, rows in (
        (attention.to_q, q, slice(0, width)),
        (attention.to_kv, kv, slice(-2 * width, None)),
        (attention.out, out, slice(None)),
    ):
        layer.load_state_dict({part: weights[f"{name}.{part}"][rows] for part in ("weight", "bias")})
    return attention


def block_of_ours(recorded: dict[str, Tensor], index: int, x_BFSD: Tensor) -> Tensor:
    weights = {key.split(".", 1)[1]: value for key, value in recorded.items() if key.startswith(f"block_{index}.")}
    width = x_BFSD.shape[-1]
    still_S, still_F = (torch.zeros(length, width // HEADS // 2) for length in (x_BFSD.shape[2], x_BFSD.shape[1]))
    spatial = load(SpatialAttention, weights, q="attn.qkv", kv="attn.qkv", out="attn.proj")
    temporal = load(TemporalAttention, weights, q="attn_temp.qkv", kv="attn_temp.qkv", out="attn_temp.proj")
    cross = load(CrossAttention, weights, q="cross_attn.q_linear", kv="cross_attn.kv_linear", out="cross_attn.proj")
    rows = (weights["scale_shift_table"] + recorded["modulation"])[:, None].unbind(2)
    shift, scale, gate, feed_shift, feed_scale, feed_gate = rows
    x_BFSD = x_BFSD + gate[:, :, None] * spatial(modulate(x_BFSD, shift, scale), still_S)
    places = recorded["temporal_positions"][:, :, None] if index == 0 else torch.zeros(())
    x_BFSD = x_BFSD + gate[:, :, None] * temporal(x_BFSD + places, still_F, TemporalMode())
    mask = torch.arange(recorded["text"].shape[1]) < recorded["lengths"][:, None]
    x_BFSD = x_BFSD + cross(x_BFSD.flatten(1, 2), recorded["text"], mask).view(x_BFSD.shape)
    hidden = fn.linear(modulate(x_BFSD, feed_shift, feed_scale), weights["mlp.fc1.weight"], weights["mlp.fc1.bias"])
    fed = fn.linear(fn.gelu(hidden, approximate="tanh"), weights["mlp.fc2.weight"], weights["mlp.fc2.bias"])
    return x_BFSD + feed_gate[:, :, None] * fed


@torch.inference_mode()
def test_blocks_agree_with_stdit(recorded: dict[str, Tensor]) -> None:
    x_BLD = recorded["x"]
    x_BFSD = x_BLD.view(len(x_BLD), recorded["temporal_positions"].shape[1], -1, x_BLD.shape[-1])
    for index in range(2):
        x_BFSD = block_of_ours(recorded, index, x_BFSD)
        assert_parity(x_BFSD.flatten(1, 2), recorded[f"out_{index}"])
