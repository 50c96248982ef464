"""The video model's stages on one clip, and what each part of TurboDiffusion takes off them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..modeling.dit import VideoDiT
from ..modeling.flow import seeded_noise
from ..modeling.guidance import guided_velocity
from ..modeling.pipeline import GenerationPlan, _batched, decode, plan_generation, sample, start
from ..modeling.reference import ReferenceModel
from ..modeling.text import PromptEmbedding
from ..modeling.turbo.int8 import quantise
from ..modeling.turbo.sparse_linear import SparseLinearConfig, sparsify
from ..modeling.turbo.student import student_plan
from .machine import flops_of, median_s

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
    dit: VideoDiT
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


def clip_of(model: ReferenceModel, duration_s: float) -> Clip:
    """Returns the benchmark's clip: 16:9, as the STANDARD tier makes it."""
    plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="16:9", duration_s=duration_s)
    return Clip(plan, model.text.encode(PROMPT))


def variants(model: ReferenceModel, student: VideoDiT, clip: Clip, sparse: SparseLinearConfig) -> list[Variant]:
    """Returns the guided baseline, each acceleration alone, and all of them."""
    few = student_plan(clip.plan, model.config.tiers["STANDARD"].shift)
    eight_bit, everything = copy.deepcopy(model.dit), sparsify(copy.deepcopy(student), sparse)
    quantise(eight_bit)
    quantise(everything)
    return [
        Variant("baseline, guided", model.dit, clip.plan),
        Variant("distilled", student, few),
        Variant("sparse-linear attention", sparsify(copy.deepcopy(model.dit), sparse), clip.plan),
        Variant("W8A8", eight_bit, clip.plan),
        Variant("all together", everything, few),
    ]


def cost_of(model: ReferenceModel, variant: Variant, clip: Clip, flops: dict[float, int], repeats: int) -> Cost:
    """Times one step of the sampler, as the pipeline runs it; `flops` remembers what a step of each guidance takes."""
    changed = replace(model, dit=variant.dit)
    begin = start(variant.plan, 0)
    step_s = median_s(lambda: next(sample(changed, variant.plan, begin, clip.prompt)), repeats)
    guidance = variant.plan.guidance
    if guidance not in flops:
        flops[guidance] = _step_flops(model.dit, clip, guidance, begin.latent)
    return Cost(variant.name, len(variant.plan.timesteps) - 1, step_s, flops[guidance])


def _step_flops(dit: VideoDiT, clip: Clip, guidance: float, latent: Tensor) -> int:
    velocity = guided_velocity(dit, _batched(clip.prompt), guidance, None, clip.plan.mode)
    with torch.no_grad():
        return flops_of(lambda: velocity(latent, 0.5))


def stage_times(model: ReferenceModel, clip: Clip, repeats: int) -> StageTimes:
    """Times the text encoder and the decoder."""
    latent = seeded_noise(0, 0, (1, *clip.plan.shape.latent()))
    return StageTimes(
        text_s=median_s(lambda: model.text.encode(PROMPT), repeats),
        decode_s=median_s(lambda: sum(len(frames) for frames in decode(model, clip.plan, latent)), repeats),
    )
