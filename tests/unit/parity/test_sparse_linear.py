"""Sparse-linear attention against its authors' kernels."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from triton_models.modeling.turbo.sparse_linear import (
    SparseLinearConfig,
    gathered_attention,
    select_blocks,
    sparse_linear_attention,
)

from .golden import assert_parity, golden


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return golden("sparse_linear")


@pytest.mark.parametrize("feature_map", ["softmax", "elu"])
@torch.inference_mode()
def test_the_sum_of_both_branches(recorded: dict[str, Tensor], feature_map: Literal["softmax", "elu"]) -> None:
    config = SparseLinearConfig(
        keep_ratio=recorded["keep_ratio"].item(), query_block=64, dense_below=0, feature_map=feature_map
    )
    mix = nn.Linear(16, 16)
    mix.load_state_dict({"weight": recorded["weight"], "bias": recorded["bias"]})
    out = sparse_linear_attention(recorded["q"], recorded["k"], recorded["v"], mix, config)
    assert_parity(out, recorded[f"out_{feature_map}"])


@torch.inference_mode()
def test_the_sparse_branch(recorded: dict[str, Tensor]) -> None:
    config = SparseLinearConfig(keep_ratio=recorded["keep_ratio"].item(), query_block=64, dense_below=0)
    q, k, v = (recorded[name] for name in "qkv")
    out = gathered_attention(q, k, v, select_blocks(q, k, config), config)
    assert_parity(out, recorded["out_sparse"])
