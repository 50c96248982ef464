"""Sparse-linear attention and int8 products against what they replace, at sizes where they are meant to pay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as fn

from ..modeling.turbo.int8 import Int8Linear
from ..modeling.turbo.sparse_linear import SparseLinearConfig, sparse_linear_attention
from .machine import median_s

_HEADS, _WIDTH = 4, 64


class Duel(NamedTuple):
    """One size, in milliseconds."""

    size: str
    before_ms: float
    after_ms: float


@torch.inference_mode()
def attentions(lengths: tuple[int, ...], config: SparseLinearConfig, repeats: int, device: str) -> Iterator[Duel]:
    """Yields full attention against sparse-linear attention, bfloat16, 4 heads of 64."""
    mix = nn.Linear(_WIDTH, _WIDTH, device=device, dtype=torch.bfloat16)
    for length in lengths:
        q, k, v = (torch.randn(1, _HEADS, length, _WIDTH, device=device, dtype=torch.bfloat16) for _ in range(3))
        full = median_s(lambda q=q, k=k, v=v: fn.scaled_dot_product_attention(q, k, v), repeats, device)  # type: ignore[misc]
        sparse = median_s(lambda q=q, k=k, v=v: sparse_linear_attention(q, k, v, mix, config), repeats, device)  # type: ignore[misc]
        yield Duel(f"{length} tokens", full * 1e3, sparse * 1e3)


@torch.inference_mode()
def linears(sizes: tuple[tuple[int, int, int], ...], repeats: int, device: str) -> Iterator[Duel]:
    """Yields bfloat16 linear layers (rows, inputs, outputs) against W8A8, quantising of activations included."""
    for rows, inputs, outputs in sizes:
        linear = nn.Linear(inputs, outputs, device=device, dtype=torch.bfloat16)
        quantised = Int8Linear.of(linear).to(device)
        x = torch.randn(rows, inputs, device=device, dtype=torch.bfloat16)
        before = median_s(lambda linear=linear, x=x: linear(x), repeats, device)  # type: ignore[misc]
        after = median_s(lambda quantised=quantised, x=x: quantised(x), repeats, device)  # type: ignore[misc]
        yield Duel(f"{rows} x {inputs} x {outputs}", before * 1e3, after * 1e3)
