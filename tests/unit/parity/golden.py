"""Reading golden tensors, and how close is close enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def golden(name: str) -> dict[str, Tensor]:
    """Returns the arrays of one file beside this one; half precision is widened."""
    with np.load(Path(__file__).with_name(f"{name}.npz")) as arrays:
        tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    return {key: tensor.float() if tensor.dtype == torch.float16 else tensor for key, tensor in tensors.items()}


def assert_parity(ours: Tensor, theirs: Tensor) -> None:
    """Fails unless the tensors agree to 1e-5 of their scale, in the mean and in the worst element."""
    scale = theirs.double().square().mean().sqrt()
    difference = (ours.double() - theirs.double()).abs()
    assert difference.square().mean().sqrt() <= 1e-5 * scale
    assert difference.max() <= 1e-5 * theirs.abs().max()
