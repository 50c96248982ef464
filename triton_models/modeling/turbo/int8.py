"""W8A8 linear layers: 8-bit weights and activations, multiplied by a real int8 GEMM into int32.

Weights have one scale for each output channel, activations one for each row, taken from the row as it comes: no range
has to be guessed beforehand. Both scales leave the sum, so the product of integers is exact. Calibration is optional:
it finds which input channels carry outliers, and smoothing (SmoothQuant, Xiao et al. 2022) moves part of those into
the weights.

Legend: M rows, K inputs, N outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as fn

from ..checkpoint import write_atomically

_LEVELS = 127
_LEAST_AMPLITUDE = 1e-8
"""Guards rows and channels of zeros."""
_CUDA_LEAST_ROWS = 32
"""cuBLAS refuses int8 products of 16 rows or fewer."""

Chosen = Callable[[str], bool]


def in_blocks(name: str) -> bool:
    """Tells whether a layer is quantised by default.

    Patch embedding, noise level, modulation and the final layer lie outside the blocks: they are small and see raw
    values. The projection of sparse-linear attention (`mix`) is excluded, as its authors do.
    """
    return name.startswith("blocks.") and not name.endswith(".mix")


def quantise_rows(x_MK: Tensor) -> tuple[Tensor, Tensor]:
    """Returns int8 [M, K] in -127..127 and float32 scales [M, 1], with x close to their product."""
    scale = x_MK.abs().amax(-1, keepdim=True).float().clamp_min(_LEAST_AMPLITUDE) / _LEVELS
    return (x_MK / scale).round_().clamp_(-_LEVELS, _LEVELS).to(torch.int8), scale


def int8_matmul(a_MK: Tensor, b_KN: Tensor) -> Tensor:
    """Returns the exact int32 product of two int8 matrices."""
    rows = len(a_MK)
    if a_MK.is_cuda and rows < _CUDA_LEAST_ROWS:
        return torch._int_mm(fn.pad(a_MK, (0, 0, 0, _CUDA_LEAST_ROWS - rows)), b_KN)[:rows]
    return torch._int_mm(a_MK, b_KN)


class Int8Linear(nn.Module):
    """A linear layer that holds and multiplies 8-bit integers."""

    weight_int8: Tensor
    scale: Tensor
    smooth: Tensor | None
    bias: Tensor | None

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, smooth: bool = False) -> None:
        super().__init__()
        if inputs % 8 or outputs % 8:
            raise ValueError(f"int8 products need multiples of 8, not {inputs} x {outputs}")
        self.register_buffer("weight_int8", torch.zeros(outputs, inputs, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(outputs))
        self.register_buffer("bias", torch.zeros(outputs) if bias else None)
        self.register_buffer("smooth", torch.ones(inputs) if smooth else None)

    @classmethod
    @torch.no_grad()
    def of(cls, linear: nn.Linear, smooth_K: Tensor | None = None) -> Int8Linear:
        """Quantises a layer; inputs are divided by `smooth_K`, and the weights multiplied."""
        layer = cls(linear.in_features, linear.out_features, bias=linear.bias is not None, smooth=smooth_K is not None)
        weight = linear.weight.float() if smooth_K is None else linear.weight.float() * smooth_K
        weight_int8, scale = quantise_rows(weight)
        layer.weight_int8, layer.scale = weight_int8, scale[:, 0]
        layer.smooth = smooth_K
        layer.bias = None if linear.bias is None else linear.bias.detach().float()
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Takes [..., K] and returns [..., N], in the dtype that nn.Linear would."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        rows = x.reshape(-1, x.shape[-1])
        rows_int8, row_scale = quantise_rows(rows if self.smooth is None else rows / self.smooth)
        out = int8_matmul(rows_int8, self.weight_int8.T).float().mul_(row_scale).mul_(self.scale)
        out = out if self.bias is None else out.add_(self.bias)
        return out.to(dtype).view(*x.shape[:-1], -1)

    def dequantised(self) -> Tensor:
        """Returns the float32 weight [N, K] that the integers stand for."""
        weight = self.weight_int8.float() * self.scale[:, None]
        return weight if self.smooth is None else weight / self.smooth


@dataclass(frozen=True)
class QuantisedLayer:
    """One line of the report."""

    name: str
    shape: tuple[int, int]
    weight_error: float
    """Root mean square of the rounding error over that of the weight."""


@dataclass(frozen=True)
class QuantisationReport:
    """What was quantised."""

    layers: tuple[QuantisedLayer, ...]
    kept: tuple[str, ...]
    """Linear layers that stay in floating point."""

    @property
    def parameters(self) -> int:
        """Weights that are integers now."""
        return sum(layer.shape[0] * layer.shape[1] for layer in self.layers)

    @property
    def worst_error(self) -> float:
        """The largest weight error of any layer."""
        return max(layer.weight_error for layer in self.layers)


def calibrate(model: nn.Module, run: Callable[[], object], chosen: Chosen = in_blocks) -> dict[str, Tensor]:
    """Returns the largest magnitude of each input channel [K] of each chosen layer while `run` uses the model."""
    peaks: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            peak = inputs[0].detach().abs().flatten(0, -2).amax(0).float()
            peaks[name] = torch.maximum(peaks[name], peak) if name in peaks else peak

        return look

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in _linears(model) if chosen(name)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return peaks


def smoothing(linear: nn.Linear, peaks_K: Tensor, strength: float = 0.5) -> Tensor:
    """Returns [K] by which inputs are divided: peaks^strength / (largest weight of the channel)^(1 - strength)."""
    weights_K = linear.weight.detach().float().abs().amax(0)
    return (peaks_K.clamp_min(1e-5) ** strength / weights_K.clamp_min(1e-5) ** (1 - strength)).clamp_min(1e-5)


def quantise(
    model: nn.Module, peaks: Mapping[str, Tensor] | None = None, chosen: Chosen = in_blocks
) -> QuantisationReport:
    """Replaces the chosen linear layers of `model` in place, smoothed where `peaks` (of `calibrate`) has them."""
    done, kept = [], []
    for name, linear in _linears(model):
        if not chosen(name):
            kept.append(name)
            continue
        smooth = None if peaks is None or name not in peaks else smoothing(linear, peaks[name])
        layer = Int8Linear.of(linear, smooth)
        weight = linear.weight.detach().float()
        error = (layer.dequantised() - weight).norm() / weight.norm().clamp_min(_LEAST_AMPLITUDE)
        done.append(QuantisedLayer(name, (linear.out_features, linear.in_features), error.item()))
        _replace(model, name, layer)
    return QuantisationReport(tuple(done), tuple(kept))


def save_quantised(model: nn.Module, path: Path) -> None:
    """Writes a quantised model: integers as int8, their scales as float32, all else as bfloat16."""
    exact = {
        f"{name}.{part}" for name, m in model.named_modules() if isinstance(m, Int8Linear) for part in m.state_dict()
    }
    tensors = {
        name: (tensor if name in exact else tensor.to(torch.bfloat16)).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors))


def load_quantised(model: nn.Module, path: Path) -> None:
    """Loads what `save_quantised` wrote into a model that is not quantised yet.

    Raises:
        OSError: there is no such file.
        RuntimeError: the weights are not of this model.
    """
    tensors = load(path.read_bytes())
    for name, linear in _linears(model):
        if f"{name}.weight_int8" in tensors:
            smooth = f"{name}.smooth" in tensors
            bias = linear.bias is not None
            _replace(model, name, Int8Linear(linear.in_features, linear.out_features, bias=bias, smooth=smooth))
    model.load_state_dict(tensors)


def _linears(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
