"""Two small networks: one looks at single frames, one at the course of a clip.

Both see, beside the picture, how it differs from what the clip shows at that place most of the time, which is where
something moves. Legend: B clips, F frames, H/W height and width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from .questions import LOOKS, MOVES

HEIGHT, WIDTH = 64, 112
"""Clips are brought to this size, whatever they had."""
LOOKED_AT = 6
WATCHED = 30
_COARSE = 4
"""The course of a clip is followed in cells of so many pixels."""


@dataclass(frozen=True)
class View:
    """What the judges see of clips; all uint8."""

    frames: Tensor
    """[B, LOOKED_AT, 3, H, W]"""
    ground: Tensor
    """[B, 1, 3, H, W]: the median over time."""
    course: Tensor
    """[B, WATCHED, 3, h, w]: all frames, coarsely."""
    course_ground: Tensor
    """[B, 1, 3, h, w]"""

    def __getitem__(self, rows: Tensor) -> View:
        return View(self.frames[rows], self.ground[rows], self.course[rows], self.course_ground[rows])

    @classmethod
    def of(cls, clip: NDArray[np.uint8]) -> View:
        """Returns what is seen of a clip [T, H, W, 3] of at least WATCHED frames."""
        spread = np.linspace(0, len(clip) - 1, WATCHED).round().astype(int)
        pixels = torch.from_numpy(clip[spread]).permute(0, 3, 1, 2).float()
        pixels = fn.adaptive_avg_pool2d(pixels, (HEIGHT, WIDTH))
        course = fn.avg_pool2d(pixels, _COARSE)
        shown = torch.linspace(0, WATCHED - 1, LOOKED_AT + 2).round().long()[1:-1]
        views = (pixels[shown], _median(pixels), course, _median(course))
        return cls(*(view.round().to(torch.uint8)[None] for view in views))

    @classmethod
    def join(cls, views: list[View]) -> View:
        """Returns many as one."""
        parts = ("frames", "ground", "course", "course_ground")
        return cls(*(torch.cat([getattr(view, part) for view in views]) for part in parts))


def _median(frames: Tensor) -> Tensor:
    return frames.median(0, keepdim=True).values


def contrasted(frames: Tensor, ground: Tensor) -> Tensor:
    """Returns float [B, F, 6, H, W]: the picture, and its difference from the ground."""
    picture, still = frames.float() / 255, ground.float() / 255
    return torch.cat((picture - 0.5, picture - still), 2)


def _down(channels_in: int, channels_out: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
    )


class Heads(nn.Module):
    """One linear layer a question."""

    def __init__(self, width: int, questions: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {question: nn.Linear(width, len(choices)) for question, choices in questions.items()}
        )

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Takes [..., width] and returns [..., choices] for each question."""
        return {question: layer(features) for question, layer in self.layers.items()}


class Looker(nn.Module):
    """Says what single frames show."""

    width = 192

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(_down(6, 20), _down(20, 40), _down(40, 64), _down(64, 96, stride=1))
        self.heads = Heads(self.width, LOOKS)

    def features(self, frames: Tensor, ground: Tensor) -> Tensor:
        """Takes [B, F, 3, H, W] and [B, 1, 3, H, W]; returns [B, F, width]."""
        seen = contrasted(frames, ground)
        maps = self.trunk(seen.flatten(0, 1).contiguous(memory_format=torch.channels_last)).float()
        pooled = torch.cat((maps.amax((2, 3)), maps.mean((2, 3))), 1)
        return pooled.view(*seen.shape[:2], self.width)

    def forward(self, frames: Tensor, ground: Tensor) -> dict[str, Tensor]:
        """Returns the scores of each frame for each question, [B, F, choices]."""
        scores: dict[str, Tensor] = self.heads(self.features(frames, ground))
        return scores


class Watcher(nn.Module):
    """Says how things move, and the camera."""

    width = 128

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(_down(6, 16), _down(16, 24, stride=1), _down(24, 32))
        self.place = nn.Linear(32 * (HEIGHT // _COARSE // 4) * (WIDTH // _COARSE // 4), 64)
        self.course = nn.Sequential(*(_Over(64, dilation) for dilation in (1, 2, 4, 8)))
        self.heads = Heads(self.width, MOVES)

    def features(self, course: Tensor, ground: Tensor) -> Tensor:
        """Takes [B, F, 3, h, w] and [B, 1, 3, h, w]; returns [B, width]."""
        seen = contrasted(course, ground)
        maps = self.trunk(seen.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        places = self.place(maps.flatten(1)).float().unflatten(0, seen.shape[:2])
        told = self.course(places.transpose(1, 2))
        return torch.cat((told.amax(2), told.mean(2)), 1)

    def forward(self, course: Tensor, ground: Tensor) -> dict[str, Tensor]:
        """Returns the scores of each question, [B, choices]."""
        scores: dict[str, Tensor] = self.heads(self.features(course, ground))
        return scores


class _Over(nn.Module):
    """A residual convolution over time."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Takes and returns [B, width, F]."""
        moved: Tensor = x + self.conv(fn.relu(self.norm(x)))
        return moved
