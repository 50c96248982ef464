"""From a prompt to frames, one function a stage, so that a caller can stop, save and go on between any two steps.

plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="16:9", duration_s=5)
prompt = model.text.encode("a red ball bouncing on green grass")
state = start(plan, seed=7)
for state in sample(model, plan, state, prompt):
    ...                                   # report the step, save a checkpoint, stop
for frames in decode(model, plan, state.latent):
    ...                                   # uint8 [T, H, W, 3]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .attention import TemporalMode
from .dit import Text
from .flow import SamplerState, Solver, advance, initial_state, shifted_schedule
from .guidance import guided_velocity
from .reference import ReferenceConfig, ReferenceModel
from .shapes import VideoShape
from .text import PromptEmbedding


@dataclass(frozen=True, kw_only=True)
class GenerationPlan:
    """Everything but the prompt and the seed that decides a clip."""

    shape: VideoShape
    """Frames, height and width that come out, in native pixels."""
    fps: int
    timesteps: tuple[float, ...]
    solver: Solver
    guidance: float
    student: bool
    """Whether the model's student samples."""
    mode: TemporalMode


def plan_generation(
    config: ReferenceConfig,
    *,
    tier: str,
    aspect_ratio: str,
    duration_s: float,
    steps: int | None = None,
    guidance: float | None = None,
) -> GenerationPlan:
    """Returns the plan of a request; `steps` and `guidance` default to the tier's.

    Raises:
        ValueError: an unknown tier or aspect ratio, or a duration outside the model's range.
    """
    if tier not in config.tiers:
        raise ValueError(f"unknown tier {tier}: not one of {', '.join(config.tiers)}")
    if aspect_ratio not in config.sizes:
        raise ValueError(f"aspect ratio {aspect_ratio} is not one of {', '.join(config.sizes)}")
    if not config.min_duration_s <= duration_s <= config.max_duration_s:
        raise ValueError(f"{duration_s} s is outside {config.min_duration_s} to {config.max_duration_s} s")
    defaults = config.tiers[tier]
    width, height = config.sizes[aspect_ratio]
    shape = VideoShape.from_duration(duration_s, config.fps, height, width)
    guidance = defaults.guidance if guidance is None else guidance
    return GenerationPlan(
        shape=shape,
        fps=config.fps,
        timesteps=shifted_schedule(steps or defaults.steps, defaults.shift),
        solver=defaults.solver,
        guidance=guidance,
        student=defaults.student and guidance == 1,
        mode=config.temporal_mode(shape.latent().frames),
    )


def request_digest(plan: GenerationPlan, prompt: PromptEmbedding, seed: int) -> str:
    """Returns the sha256 that binds a checkpoint to its request."""
    digest = hashlib.sha256(json.dumps([asdict(plan), seed], sort_keys=True).encode())
    digest.update(prompt.embeddings.numpy().tobytes())
    return digest.hexdigest()


def start(plan: GenerationPlan, seed: int) -> SamplerState:
    """Returns the noise that sampling begins from."""
    return initial_state((1, *plan.shape.latent()), seed, plan.timesteps, plan.solver)


def sample(
    model: ReferenceModel,
    plan: GenerationPlan,
    state: SamplerState,
    prompt: PromptEmbedding,
    negative: PromptEmbedding | None = None,
) -> Iterator[SamplerState]:
    """Yields the state after each remaining step; from the same state always the same bits.

    `negative` says what the clip should not be; the model's learned null text stands in for it.
    """
    against = None if negative is None else _batched(negative)
    dit = model.transformer(student=plan.student)
    velocity = guided_velocity(dit, _batched(prompt), plan.guidance, against, plan.mode)
    while not state.finished:
        with torch.inference_mode(), _arithmetic(model.config):
            state = advance(state, velocity)
        yield state


def decode(
    model: ReferenceModel, plan: GenerationPlan, latent: Tensor, chunk_frames: int = 4
) -> Iterator[NDArray[np.uint8]]:
    """Yields consecutive uint8 [T, H, W, 3], `plan.shape.frames` frames in all.

    Each chunk comes from `chunk_frames` latent frames; memory does not grow with the clip's length.
    """
    left = plan.shape.frames
    with torch.inference_mode(), _arithmetic(model.config):
        for video_BCFHW in model.vae.decode_chunks(torch.split(latent, chunk_frames, 1)):
            yield to_frames(video_BCFHW[0, :, :left, : plan.shape.height, : plan.shape.width])
            left -= min(left, video_BCFHW.shape[2])


def to_frames(video_CFHW: Tensor) -> NDArray[np.uint8]:
    """Returns uint8 [F, H, W, 3] of a clip in -1..1."""
    levels = ((video_CFHW.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    frames: NDArray[np.uint8] = levels.permute(1, 2, 3, 0).contiguous().numpy()
    return frames


def _batched(prompt: PromptEmbedding) -> Text:
    return Text(prompt.embeddings[None], prompt.mask[None])


def _arithmetic(config: ReferenceConfig) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16")
