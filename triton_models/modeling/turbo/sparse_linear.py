"""Sparse-linear attention (SLA, Zhang et al. 2025): exact on a few blocks of keys, linear on the rest.

For each block of queries the mean query is scored against the mean of each block of keys, and the best blocks are
attended to exactly. A linear attention over all keys, through a learned projection that starts at zero, restores what
the dropped blocks would have added. This is the formula of the authors' main branch and of TurboDiffusion; the
paper's first version ran the linear branch over the dropped blocks only.

It pays where sequences are long: joint space-time attention, or frames of thousands of tokens. Below `dense_below`
tokens the attention is dense and neither branch runs.

Legend: B batch, N heads, L tokens, E width of a head, Q blocks of queries, K blocks of keys, T kept blocks of keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from ..attention import SpatialAttention, rotate
from ..dit import VideoDiT

_EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class SparseLinearConfig:
    """How much of the attention is kept, and from which length on."""

    keep_ratio: float = 0.15
    """Share of the key blocks that each block of queries attends to; at least one block is kept."""
    query_block: int = 128
    """Twice a block of keys: on CPUs each block of queries costs a copy of its keys."""
    key_block: int = 64
    dense_below: int = 4096
    """Tokens under which dense attention is as fast, measured in bfloat16 on a CPU."""
    feature_map: Literal["softmax", "elu"] = "softmax"
    """Of the linear branch; both are positive."""

    def kept_blocks(self, blocks: int) -> int:
        """Returns how many of `blocks` are kept."""
        return min(blocks, max(1, round(self.keep_ratio * blocks)))


def split_blocks(x_BNLE: Tensor, block: int) -> Tensor:
    """Returns [B, N, blocks, block, E], the last block padded with zeros."""
    batch, heads, length, width = x_BNLE.shape
    return fn.pad(x_BNLE, (0, 0, 0, -length % block)).view(batch, heads, -1, block, width)


def block_means(x_BNLE: Tensor, block: int) -> Tensor:
    """Returns [B, N, blocks, E], the mean of each block; padding does not count."""
    sums = split_blocks(x_BNLE, block).sum(3)
    starts = torch.arange(sums.shape[2], device=x_BNLE.device) * block
    return sums / (x_BNLE.shape[2] - starts).clamp_max(block)[:, None]


def select_blocks(q_BNLE: Tensor, k_BNLE: Tensor, config: SparseLinearConfig) -> Tensor:
    """Returns int64 [B, N, Q, T], the key blocks that each block of queries attends to, in no particular order.

    The mean key is taken off first: it moves all scores of a query alike and would only cost precision.
    """
    centred = k_BNLE - k_BNLE.mean(2, keepdim=True)
    scores = block_means(q_BNLE, config.query_block) @ block_means(centred, config.key_block).transpose(-1, -2)
    return scores.topk(config.kept_blocks(scores.shape[-1]), -1, sorted=False).indices


def gathered_attention(
    q_BNLE: Tensor, k_BNLE: Tensor, v_BNLE: Tensor, selected_BNQT: Tensor, config: SparseLinearConfig
) -> Tensor:
    """Attention to the selected blocks: gathers them for each block of queries. For any device."""
    length, block = q_BNLE.shape[2], config.key_block
    selected = selected_BNQT.flatten(0, 1)
    heads = torch.arange(len(selected), device=selected.device)[:, None, None]
    queries = split_blocks(q_BNLE, config.query_block).flatten(0, 1)
    keys, values = (split_blocks(x, block).flatten(0, 1)[heads, selected].flatten(2, 3) for x in (k_BNLE, v_BNLE))
    mask = None
    if length % block:
        places = selected[..., None] * block + torch.arange(block, device=selected.device)
        mask = (places < length).flatten(2)[:, :, None]
    out = fn.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    return out.flatten(1, 2)[:, :length].reshape(q_BNLE.shape)


def block_mask(selected_BNQT: Tensor, length: int, config: SparseLinearConfig) -> BlockMask:
    """Returns the selection as FlexAttention's mask, which skips the blocks that are not kept."""
    blocks = -(-length // config.key_block)
    kept_BNQK = selected_BNQT.new_zeros(*selected_BNQT.shape[:3], blocks).scatter_(-1, selected_BNQT, 1)
    counts = kept_BNQK.sum(-1, dtype=torch.int32)
    order = kept_BNQK.argsort(dim=-1, descending=True, stable=True).int()
    kept = kept_BNQK.bool()

    def is_kept(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return kept[batch, head, query // config.query_block, key // config.key_block]

    return BlockMask.from_kv_blocks(
        counts, order, BLOCK_SIZE=(config.query_block, config.key_block), mask_mod=is_kept, seq_lengths=(length, length)
    )


Flex = Callable[..., Tensor]


@cache
def _compiled_flex() -> Flex:
    return cast(Flex, torch.compile(flex_attention, dynamic=False))


def flex_block_attention(
    q_BNLE: Tensor,
    k_BNLE: Tensor,
    v_BNLE: Tensor,
    selected_BNQT: Tensor,
    config: SparseLinearConfig,
    flex: Flex | None = None,
) -> Tensor:
    """Attention to the selected blocks by a fused kernel, compiled at the first call: for GPUs."""
    mask = block_mask(selected_BNQT, q_BNLE.shape[2], config)
    return (flex or _compiled_flex())(q_BNLE, k_BNLE, v_BNLE, block_mask=mask)


def linear_attention(
    q_BNLE: Tensor, k_BNLE: Tensor, v_BNLE: Tensor, feature_map: Literal["softmax", "elu"] = "softmax"
) -> Tensor:
    """Returns phi(q) (phi(k)^T v) / (phi(q) sum phi(k)) over all keys, O(L), in float32."""
    with torch.autocast(q_BNLE.device.type, enabled=False):
        q, k, v = q_BNLE.float(), k_BNLE.float(), v_BNLE.float()
        q, k = (x.softmax(-1) if feature_map == "softmax" else fn.elu(x) + 1 for x in (q, k))
        total = (q * k.sum(2, keepdim=True)).sum(-1, keepdim=True)
        return q @ (k.transpose(-1, -2) @ v) / (total + _EPSILON)


def sparse_linear_attention(
    q_BNLE: Tensor, k_BNLE: Tensor, v_BNLE: Tensor, mix: nn.Linear, config: SparseLinearConfig
) -> Tensor:
    """Returns exact attention to the kept blocks plus `mix` (E to E) of the linear attention to all keys."""
    selected_BNQT = select_blocks(q_BNLE, k_BNLE, config)
    attend = flex_block_attention if q_BNLE.is_cuda else gathered_attention
    sparse = attend(q_BNLE, k_BNLE, v_BNLE, selected_BNQT, config)
    linear: Tensor = mix(linear_attention(q_BNLE, k_BNLE, v_BNLE, config.feature_map).to(q_BNLE.dtype))
    return sparse + linear


class SparseSpatialAttention(SpatialAttention):
    """Spatial attention that takes over the weights of a dense one and drops most of its blocks."""

    def __init__(self, dense: SpatialAttention, config: SparseLinearConfig) -> None:
        nn.Module.__init__(self)
        self.heads, self.config = dense.heads, config
        self.to_q, self.to_kv, self.out = dense.to_q, dense.to_kv, dense.out
        self.q_norm, self.k_norm = dense.q_norm, dense.k_norm
        width = dense.out.in_features // dense.heads
        self.mix = nn.Linear(width, width, device=dense.out.weight.device)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x_BFSD: Tensor, angles_SE: Tensor) -> Tensor:
        """Takes and returns [B, F, S, D]."""
        if x_BFSD.shape[2] < self.config.dense_below:
            return super().forward(x_BFSD, angles_SE)
        x_BLD = x_BFSD.flatten(0, 1)
        k_BNSE, v_BNSE = self.keys_values(x_BLD)
        q_BNSE, k_BNSE = rotate(self.queries(x_BLD), angles_SE), rotate(k_BNSE, angles_SE)
        return self.merge(sparse_linear_attention(q_BNSE, k_BNSE, v_BNSE, self.mix, self.config)).view(x_BFSD.shape)


def sparsify(dit: VideoDiT, config: SparseLinearConfig) -> VideoDiT:
    """Replaces the spatial attention of every block, in place; the new projections start at zero.

    Fine-tune with the flow loss afterwards: until then the dropped blocks are missing.
    """
    for block in dit.blocks:
        dense = block.get_submodule("spatial")
        assert isinstance(dense, SpatialAttention)  # noqa: S101 - for the type checker: blocks are of this library
        block.spatial = SparseSpatialAttention(dense, config)
    return dit
