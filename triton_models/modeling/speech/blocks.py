"""What the networks of speech are built of.

Legend: B batch, L places of a sequence (letters, sounds or spectrogram frames), D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Module):
    """A residual convolution along a sequence; what is masked counts as zero, so padding changes nothing."""

    def __init__(self, width: int, kernel: int = 5, dilation: int = 1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x_BLD: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, D] to the same; `mask_BL1` is 1 where there is something and 0 in padding."""
        mixed = self.mix((self.norm(x_BLD) * mask_BL1).transpose(1, 2)).transpose(1, 2)
        added: Tensor = x_BLD + self.out(functional.gelu(mixed))
        return added


class ConvStack(nn.Module):
    """Blocks whose dilations cycle through 1, 2, 3."""

    def __init__(self, width: int, depth: int, kernel: int = 5) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(width, kernel, 1 + place % 3) for place in range(depth))

    def forward(self, x_BLD: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, D] to the same."""
        for block in self.blocks:
            x_BLD = block(x_BLD, mask_BL1)
        return x_BLD


def mask_of(lengths_B: Tensor, longest: int) -> Tensor:
    """Float [B, longest, 1]: 1 for the first `length` places of each row."""
    return (torch.arange(longest, device=lengths_B.device) < lengths_B[:, None]).float()[..., None]
