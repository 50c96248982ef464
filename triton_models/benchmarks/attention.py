"""Sparse-linear attention and int8 products against what they replace, at sizes where they are meant to pay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..modeling.turbo.int8 import Int8Linear
from ..modeling.turbo.sparse_linear import SparseLinearConfig, sparse_linear_attention
from .machine import medians_s

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
        q, k, v = torch.randn(3, 1, _HEADS, length, _WIDTH, device=device, dtype=torch.bfloat16)
        full = partial(fn.scaled_dot_product_attention, q, k, v)
        sparse = partial(sparse_linear_attention, q, k, v, mix, config)
        yield _duel(f"{length} tokens", full, sparse, repeats, device)


@torch.inference_mode()
def linears(sizes: tuple[tuple[int, int, int], ...], repeats: int, device: str) -> Iterator[Duel]:
    """Yields bfloat16 linear layers (rows, inputs, outputs) against W8A8, quantising of activations included."""
    for rows, inputs, outputs in sizes:
        linear = nn.Linear(inputs, outputs, device=device, dtype=torch.bfloat16)
        x = torch.randn(rows, inputs, device=device, dtype=torch.bfloat16)
        quantised = Int8Linear.of(linear).to(device)
        yield _duel(f"{rows} x {inputs} x {outputs}", partial(linear, x), partial(quantised, x), repeats, device)


def _duel(size: str, before: Callable[[], Tensor], after: Callable[[], Tensor], repeats: int, device: str) -> Duel:
    before_s, after_s = medians_s([before, after], repeats, device)
    return Duel(size, before_s * 1e3, after_s * 1e3)
