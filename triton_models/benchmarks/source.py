"""The transformer at the low-level design's size with random weights, where there is a GPU that holds it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..modeling.dit import DiTConfig, VideoDiT
from ..modeling.shapes import VideoShape
from ..modeling.turbo.student import STUDENT_STEPS
from .machine import flops_of, median_s

CLIP = VideoShape(frames=81, height=480, width=848)
"""Five seconds of 480p at 16 frames a second."""
BASELINE_STEPS = 50
PUBLISHED_S = 1.8
"""What the low-level design says four steps take."""


@dataclass(frozen=True)
class SourceCost:
    """Seconds and operations of one step."""

    parameters: int
    guided_step_s: float
    student_step_s: float
    student_step_flops: int

    @property
    def baseline_s(self) -> float:
        """Fifty guided steps."""
        return BASELINE_STEPS * self.guided_step_s

    @property
    def student_s(self) -> float:
        """Four plain steps."""
        return STUDENT_STEPS * self.student_step_s


@torch.inference_mode()
def source_cost(config: DiTConfig, clip: VideoShape, device: str, dtype: torch.dtype, repeats: int) -> SourceCost:
    """Times a step with and without guidance; the weights are whatever initialisation gives."""
    with torch.device(device):
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            dit = VideoDiT(config).eval()
        finally:
            torch.set_default_dtype(previous)
        latent = torch.randn(2, *clip.padded().latent())

    def step(batch: int) -> torch.Tensor:
        with torch.autocast(device, dtype):
            out: torch.Tensor = dit(latent[:batch], latent.new_full((batch,), 0.5), dit.null_text(batch, 256))
        return out

    return SourceCost(
        parameters=sum(parameter.numel() for parameter in dit.parameters()),
        guided_step_s=median_s(lambda: step(2), repeats, device),
        student_step_s=median_s(lambda: step(1), repeats, device),
        student_step_flops=flops_of(lambda: step(1)),
    )
