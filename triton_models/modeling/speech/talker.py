"""The voice and the lips of a model directory, each of which it may lack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from triton_models.modeling.engine import CPU

from .lips import LipRefiner, find_lip_refiner
from .model import SpeechModel, find_speech_model
from .plan import SpeechPlan


@dataclass(frozen=True)
class Talker:
    """What is loaded for people who speak."""

    voice: SpeechModel | None
    refiner: LipRefiner | None

    @classmethod
    def find(cls, directory: Path, device: torch.device = CPU) -> Talker:
        """Loads what the directory holds; errors as `load_speech_model` and `find_lip_refiner`."""
        return cls(find_speech_model(directory, device), find_lip_refiner(directory, device))

    def plan(self, prompt: str, seed: int, duration_s: float) -> SpeechPlan | None:
        """What is said in a clip; None for nothing."""
        return None if self.voice is None else self.voice.plan(prompt, seed, duration_s)
