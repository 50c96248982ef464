"""From a prompt to frames, one function a stage, so that a caller can stop, save and go on between any two steps.

plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="16:9", duration_s=5)
prompt = model.text.encode("a red ball bouncing on green grass")
state = start(plan, seed=7)
for state in sample(model, plan, state, prompt):
    ...                                   # report the step, save a checkpoint, stop
for frames in decode(model, plan, state.latent):
    ...                                   # uint8 [T, H, W, 3]

A picture becomes the first frame by `start(plan, seed, first_frame=encode_picture(model, plan, picture))` and a plan
with `held_frames=1`; `restart` begins from a clip instead of noise; `stream` makes frames for as long as it is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from .attention import StreamMemory, TemporalMode
from .dit import Text
from .engine import arithmetic
from .flow import SamplerState, Solver, advance, initial_state, noised_state, seeded_noise, shifted_schedule
from .guidance import guided_velocity
from .reference import ReferenceConfig, ReferenceModel
from .shapes import VideoShape
from .text import PromptEmbedding

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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
    held_frames: int = 0
    """Latent frames at the start that are given and stay to the bit: 1 where the clip begins with a picture."""


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


def request_digest(
    plan: DataclassInstance,
    prompt: PromptEmbedding,
    seed: int,
    given: Tensor | None = None,
    negative: PromptEmbedding | None = None,
) -> str:
    """Returns the sha256 that binds a checkpoint to its request; `given` is the latent that it starts from, if any."""
    digest = hashlib.sha256(json.dumps([asdict(plan), seed], sort_keys=True).encode())
    against = None if negative is None else negative.embeddings
    for tensor in (prompt.embeddings, given, against):
        if tensor is not None:
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def start(plan: GenerationPlan, seed: int, first_frame: Tensor | None = None) -> SamplerState:
    """Returns the noise that sampling begins from, after the given latent [1, 1, H, W, C] if there is one.

    Raises:
        ValueError: the plan holds another number of frames.
    """
    return _hold(plan, initial_state((1, *plan.shape.latent()), seed, plan.timesteps, plan.solver), first_frame)


def restart(
    plan: GenerationPlan,
    seed: int,
    source: Tensor,
    strength: float,
    first_frame: Tensor | None = None,
    steps: int | None = None,
) -> SamplerState:
    """Returns the state from which another clip's latent [1, F, H, W, C] is made anew, the freer the higher `strength`.

    It takes `steps` from there, by default that share of the plan's.

    Raises:
        ValueError: the source is not of the plan's shape, as `noised_state`, or as `start`.
    """
    if tuple(source.shape[1:]) != plan.shape.latent():
        raise ValueError(f"a source of {tuple(source.shape[1:])} is not of {tuple(plan.shape.latent())}")
    state = noised_state(source, strength, seed, plan.timesteps, plan.solver, steps)
    return _hold(plan, state, first_frame)


def _hold(plan: GenerationPlan, state: SamplerState, first_frame: Tensor | None) -> SamplerState:
    """Puts what is given in its place."""
    held = 0 if first_frame is None else first_frame.shape[1]
    if held != plan.held_frames:
        raise ValueError(f"the plan holds {plan.held_frames} frames, {held} are given")
    if first_frame is not None:
        state.latent[:, :held] = first_frame
    return state


def encode_clip(model: ReferenceModel, plan: GenerationPlan, frames: NDArray[np.uint8]) -> Tensor:
    """Returns the latent [1, F, h, w, C] of frames uint8 [T, H, W, 3] of any size, scaled and cropped to the plan's.

    The last frame is repeated where the grid asks for more.
    """
    padded = VideoShape(len(frames), *plan.shape[1:]).padded()
    video_FCHW = covering(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1, *plan.shape[1:])
    height, width = video_FCHW.shape[2:]
    video_FCHW = fn.pad(video_FCHW, (0, padded.width - width, 0, padded.height - height), "replicate")
    repeats = padded.frames - len(frames)
    video_FCHW = torch.cat((video_FCHW, video_FCHW[-1:].expand(repeats, -1, -1, -1)))
    with torch.inference_mode():
        return model.vae.encode(video_FCHW.permute(1, 0, 2, 3)[None].to(model.device)).cpu()


def encode_picture(model: ReferenceModel, plan: GenerationPlan, picture: NDArray[np.uint8]) -> Tensor:
    """Returns the latent [1, 1, h, w, C] of a picture uint8 [H, W, 3], for `start`."""
    return encode_clip(model, plan, picture[None])


def covering(video_FCHW: Tensor, height: int, width: int) -> Tensor:
    """Scales so that the frame covers the size, and crops what is over, evenly."""
    scale = max(height / video_FCHW.shape[2], width / video_FCHW.shape[3])
    size = [max(goal, round(scale * now)) for goal, now in zip((height, width), video_FCHW.shape[2:], strict=True)]
    scaled = fn.interpolate(video_FCHW, size, mode="bilinear", antialias=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return scaled[:, :, top : top + height, left : left + width]


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
    against = None if negative is None else batched(negative)
    dit = model.transformer(student=plan.student)
    velocity = guided_velocity(dit, batched(prompt), plan.guidance, against, plan.mode, held=plan.held_frames)
    while not state.finished:
        with torch.inference_mode(), arithmetic(model.config.precision, model.device):
            state = advance(state, velocity)
        yield state


def stream(model: ReferenceModel, plan: GenerationPlan, seed: int, prompt: PromptEmbedding) -> Iterator[Tensor]:
    """Yields latent chunks [1, n, H, W, C] of the plan's clip, each finished before the next begins.

    Frames see their own chunk and, through a memory of keys and values that does not grow, the clean chunks before it.
    """
    config, dit = model.config, model.transformer(student=plan.student)
    memory = StreamMemory(limit=config.stream_memory)
    velocity = guided_velocity(dit, batched(prompt), plan.guidance, memory=memory)
    frames, *size = plan.shape.latent()
    for number, begun in enumerate(range(0, frames, config.stream_chunk)):
        shape = (1, min(config.stream_chunk, frames - begun), *size)
        state = SamplerState(seeded_noise(seed, number, shape), 0, plan.timesteps, plan.solver, seed)
        with torch.inference_mode(), arithmetic(config.precision, model.device):
            while not state.finished:
                state = advance(state, velocity)
            memory.recording = True
            velocity(state.latent, 0.0)
            memory.recording = False
        yield state.latent


def decode(
    model: ReferenceModel, plan: GenerationPlan, latent: Tensor, chunk_frames: int = 4
) -> Iterator[NDArray[np.uint8]]:
    """Yields consecutive uint8 [T, H, W, 3], `plan.shape.frames` frames in all.

    Each chunk comes from `chunk_frames` latent frames; memory does not grow with the clip's length.
    """
    return decode_chunks(model, plan, torch.split(latent, chunk_frames, 1))


def decode_chunks(model: ReferenceModel, plan: GenerationPlan, chunks: Iterable[Tensor]) -> Iterator[NDArray[np.uint8]]:
    """Yields the frames of each latent chunk of a clip, for example of a `stream`, as soon as it is there."""
    left = plan.shape.frames
    with torch.inference_mode(), arithmetic(model.config.precision, model.device):
        for video_BCFHW in model.vae.decode_chunks(chunk.to(model.device) for chunk in chunks):
            yield to_frames(video_BCFHW[0, :, :left, : plan.shape.height, : plan.shape.width])
            left -= min(left, video_BCFHW.shape[2])


def to_frames(video_CFHW: Tensor) -> NDArray[np.uint8]:
    """Returns uint8 [F, H, W, 3] of a clip in -1..1."""
    levels = ((video_CFHW.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    frames: NDArray[np.uint8] = levels.permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return frames


def batched(prompt: PromptEmbedding) -> Text:
    """Returns the conditioning of one clip."""
    return Text(prompt.embeddings[None], prompt.mask[None])
