"""The video model's stages on one clip, and what each part of TurboDiffusion takes off them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..modeling.dit import VideoDiT
from ..modeling.flow import SamplerState, seeded_noise, shifted_schedule
from ..modeling.guidance import guided_velocity
from ..modeling.pipeline import GenerationPlan, batched, decode, plan_generation, sample, start
from ..modeling.reference import ReferenceModel
from ..modeling.text import PromptEmbedding
from ..modeling.turbo.int8 import quantise
from ..modeling.turbo.sparse_linear import SparseLinearConfig, sparsify
from ..modeling.turbo.student import student_tier
from .machine import flops_of, median_s, medians_s

PROMPT = "a red ball bouncing on green grass"


@dataclass(frozen=True)
class Clip:
    """What is generated, by every variant alike."""

    plan: GenerationPlan
    prompt: PromptEmbedding


@dataclass(frozen=True)
class Variant:
    """One way to run the transformer."""

    name: str
    model: ReferenceModel
    """Whose teacher is the transformer that runs."""
    plan: GenerationPlan


@dataclass(frozen=True)
class Cost:
    """What one variant costs on the clip."""

    name: str
    steps: int
    step_s: float
    step_flops: int
    """Of the same step in floating point."""

    @property
    def total_s(self) -> float:
        """All steps."""
        return self.steps * self.step_s


@dataclass(frozen=True)
class StageTimes:
    """The stages that all variants share, in seconds."""

    text_s: float
    decode_s: float
    enlarge_s: float
    """0 where frames stay as they are decoded."""


def clip_of(model: ReferenceModel, duration_s: float) -> Clip:
    """Returns the benchmark's clip: 16:9, as the STANDARD tier makes it."""
    plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="16:9", duration_s=duration_s)
    return Clip(plan, model.text.encode(PROMPT))


def variants(model: ReferenceModel, student: VideoDiT, clip: Clip, sparse: SparseLinearConfig) -> list[Variant]:
    """Returns the guided baseline, the same in float32, each acceleration alone, and all of them."""
    tier = student_tier(model.config.tiers["STANDARD"].shift)
    few = replace(clip.plan, timesteps=shifted_schedule(tier.steps, tier.shift), guidance=tier.guidance)
    eight_bit, everything = copy.deepcopy(model.dit), sparsify(copy.deepcopy(student), sparse)
    quantise(eight_bit)
    quantise(everything)
    exact = replace(model, config=replace(model.config, precision="float32"))
    return [
        Variant("baseline, guided", model, clip.plan),
        Variant("baseline in float32", exact, clip.plan),
        Variant("distilled", replace(model, dit=student), few),
        Variant("sparse-linear attention", replace(model, dit=sparsify(copy.deepcopy(model.dit), sparse)), clip.plan),
        Variant("W8A8", replace(model, dit=eight_bit), clip.plan),
        Variant("all together", replace(model, dit=everything), few),
    ]


def costs_of(model: ReferenceModel, candidates: list[Variant], clip: Clip, repeats: int) -> list[Cost]:
    """Times one step of each variant's sampler, as the pipeline runs it."""
    begin = start(clip.plan, 0)

    def step(variant: Variant) -> Callable[[], SamplerState]:
        first = replace(begin, timesteps=variant.plan.timesteps)
        return lambda: next(sample(variant.model, variant.plan, first, clip.prompt))

    seconds = medians_s([step(variant) for variant in candidates], repeats)
    scales = {variant.plan.guidance for variant in candidates}
    flops = {scale: _step_flops(model.dit, clip, scale, begin.latent) for scale in scales}
    return [
        Cost(variant.name, len(variant.plan.timesteps) - 1, step_s, flops[variant.plan.guidance])
        for variant, step_s in zip(candidates, seconds, strict=True)
    ]


def _step_flops(dit: VideoDiT, clip: Clip, guidance: float, latent: Tensor) -> int:
    velocity = guided_velocity(dit, batched(clip.prompt), guidance, None, clip.plan.mode)
    with torch.no_grad():
        return flops_of(lambda: velocity(latent, 0.5))


def stage_times(model: ReferenceModel, clip: Clip, repeats: int) -> StageTimes:
    """Times the text encoder, the decoder and what enlarges its frames."""
    latent = seeded_noise(0, 0, (1, *clip.plan.shape.latent()))
    frames = np.zeros((*clip.plan.shape, 3), np.uint8)
    upsampler = model.upsampler
    return StageTimes(
        text_s=median_s(lambda: model.text.encode(PROMPT), repeats),
        decode_s=median_s(lambda: sum(len(frames) for frames in decode(model, clip.plan, latent)), repeats),
        enlarge_s=0.0 if upsampler is None else median_s(lambda: upsampler.enlarge(frames), repeats),
    )
