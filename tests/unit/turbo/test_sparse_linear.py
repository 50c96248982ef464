from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from torch.nn.attention.flex_attention import flex_attention

from triton_models.modeling.dit import DiTConfig, VideoDiT
from triton_models.modeling.turbo.sparse_linear import (
    SparseLinearConfig,
    SparseSpatialAttention,
    block_mask,
    block_means,
    flex_block_attention,
    gathered_attention,
    linear_attention,
    select_blocks,
    sparse_linear_attention,
    sparsify,
)

CONFIG = SparseLinearConfig(keep_ratio=0.4, query_block=16, key_block=8, dense_below=0)


def heads(length: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(3, 2, 3, length, 16, generator=torch.Generator().manual_seed(seed))
    return q, k, v


def zero_mix() -> nn.Linear:
    mix = nn.Linear(16, 16)
    nn.init.zeros_(mix.weight)
    nn.init.zeros_(mix.bias)
    return mix


def masked_reference(q: Tensor, k: Tensor, v: Tensor, selected: Tensor, config: SparseLinearConfig) -> Tensor:
    """Softmax over the kept keys, written with a full [L, L] mask."""
    length = q.shape[2]
    kept = torch.zeros(*selected.shape[:3], -(-length // config.key_block)).scatter_(-1, selected, 1).bool()
    rows = kept.repeat_interleave(config.query_block, 2)[:, :, :length]
    mask = rows.repeat_interleave(config.key_block, 3)[..., :length]
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ v


@pytest.mark.parametrize("length", [64, 61, 7])
def test_everything_kept_and_zero_projection_is_full_attention(length: int) -> None:
    q, k, v = heads(length)
    config = SparseLinearConfig(keep_ratio=1.0, query_block=16, key_block=8, dense_below=0)
    out = sparse_linear_attention(q, k, v, zero_mix(), config)
    torch.testing.assert_close(out, fn.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("length", [128, 101])
def test_sparse_branch_attends_to_the_kept_keys_only(length: int) -> None:
    q, k, v = heads(length)
    selected = select_blocks(q, k, CONFIG)
    out = gathered_attention(q, k, v, selected, CONFIG)
    torch.testing.assert_close(out, masked_reference(q, k, v, selected, CONFIG))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_fused_form_agrees_with_the_gathered_one() -> None:
    q, k, v = heads(101)
    selected = select_blocks(q, k, CONFIG)
    fused = flex_block_attention(q, k, v, selected, CONFIG, flex=flex_attention)
    torch.testing.assert_close(fused, gathered_attention(q, k, v, selected, CONFIG))


def test_the_fused_form_visits_the_selected_blocks_and_no_others() -> None:
    q, k, _ = heads(101)
    selected = select_blocks(q, k, CONFIG)
    visited = block_mask(selected, 101, CONFIG).to_dense()
    expected = torch.zeros(visited.shape, dtype=torch.bool).scatter_(-1, selected, True)
    assert torch.equal(visited.bool(), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="the fused kernel is compiled for GPUs; here is none")
def test_the_compiled_kernel_agrees_with_the_gathered_form() -> None:
    q, k, v = (x.cuda() for x in torch.randn(3, 1, 2, 1000, 64))
    config = SparseLinearConfig(keep_ratio=0.3, query_block=128, key_block=128, dense_below=0)
    selected = select_blocks(q, k, config)
    fused = flex_block_attention(q, k, v, selected, config)
    torch.testing.assert_close(fused, gathered_attention(q, k, v, selected, config), atol=2e-3, rtol=2e-3)


def test_blocks_are_chosen_by_their_mean_and_the_tail_counts_its_own_tokens() -> None:
    x = torch.arange(5.0).view(1, 1, 5, 1)
    assert block_means(x, 2).flatten().tolist() == [0.5, 2.5, 4.0]
    q = torch.ones(1, 1, 2, 1)
    k = torch.tensor([0.0, 0, 0, 0, 9]).view(1, 1, 5, 1)
    config = SparseLinearConfig(keep_ratio=0.1, query_block=2, key_block=2, dense_below=0)
    assert select_blocks(q, k, config).tolist() == [[[[2]]]]


def test_a_shift_of_all_keys_changes_no_choice() -> None:
    q, k, _ = heads(96)
    assert torch.equal(select_blocks(q, k, CONFIG).sort(-1)[0], select_blocks(q, k + 3, CONFIG).sort(-1)[0])


@pytest.mark.parametrize(("ratio", "blocks", "kept"), [(0.1, 4, 1), (0.15, 10, 2), (0.3, 10, 3), (1.0, 7, 7)])
def test_at_least_one_block_is_kept(ratio: float, blocks: int, kept: int) -> None:
    assert SparseLinearConfig(keep_ratio=ratio).kept_blocks(blocks) == kept


@pytest.mark.parametrize("feature_map", ["softmax", "elu"])
def test_linear_attention_is_a_weighted_mean_of_all_values(feature_map: str) -> None:
    q, k, v = (x.double() for x in heads(50))
    features = (lambda x: x.softmax(-1)) if feature_map == "softmax" else (lambda x: fn.elu(x) + 1)
    weights = features(q) @ features(k).transpose(-1, -2)
    expected = (weights / weights.sum(-1, keepdim=True)) @ v
    out = linear_attention(q, k, v, feature_map)  # type: ignore[arg-type]
    torch.testing.assert_close(out.double(), expected, atol=1e-4, rtol=1e-4)


def test_a_sparsified_transformer_learns_and_is_dense_on_short_frames() -> None:
    torch.manual_seed(0)
    dit = VideoDiT(DiTConfig(width=32, depth=1, heads=2, text_width=8, summary_tokens=0))
    nn.init.normal_(dit.get_parameter("blocks.0.modulation_table"))
    nn.init.normal_(dit.patch_out.weight)
    latent, t = torch.randn(1, 2, 16, 16, 16), torch.tensor([0.5])
    dense = dit(latent, t, dit.null_text(1, 1))
    sparsify(dit, SparseLinearConfig(dense_below=65))
    assert torch.equal(dit(latent, t, dit.null_text(1, 1)), dense)
    sparsify(dit, SparseLinearConfig(keep_ratio=0.5, query_block=8, key_block=8, dense_below=64))
    sparse = dit(latent, t, dit.null_text(1, 1))
    assert not torch.allclose(sparse, dense, atol=1e-4)
    sparse.square().mean().backward()
    attention = dit.get_submodule("blocks.0.spatial")
    assert isinstance(attention, SparseSpatialAttention)
    assert attention.mix.weight.grad is not None
    assert attention.mix.weight.grad.abs().sum() > 0
    assert attention.to_q.weight.grad is not None
