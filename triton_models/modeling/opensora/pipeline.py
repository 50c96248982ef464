"""From an encoded caption to frames with Open-Sora, one function a stage, as `modeling.pipeline` does with REFERENCE.

The sampler is that of `modeling.flow`. What is Open-Sora's own: a clip is made in whole batches of 17 frames, which are
the lengths it has seen; the larger the clip, the longer it stays noisy; and the absence of text is as long as the text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..dit import Text
from ..engine import device_of
from ..flow import SamplerState, Solver, advance, initial_state, noised_state, shifted_schedule
from ..guidance import guided
from ..pipeline import batched, covering, to_frames
from ..shapes import LatentShape, VideoShape
from ..text import PromptEmbedding
from .stdit3 import Format, STDiT3
from .vae import SPATIAL_FACTOR, OpenSoraVAE, OpenSoraVAEConfig

_SOLVER: Solver = "euler"
_UNSHIFTED_SIZE = 512
"""Side in pixels of the square picture whose schedule is not shifted."""


@dataclass(frozen=True, kw_only=True)
class OpenSoraPlan:
    """Everything but the caption, the seed and given frames that decides a clip."""

    shape: VideoShape
    """Frames, height and width that come out."""
    told: Format
    latent: LatentShape
    """Of the whole batches that are made."""
    timesteps: tuple[float, ...]
    guidance: float


def plan_clip(
    vae: OpenSoraVAEConfig, size: tuple[int, int], duration_s: float, fps: float, steps: int, guidance: float
) -> OpenSoraPlan:
    """Returns the plan of a clip of `size`, width and height in pixels; what does not fill 8 x 8 pixels is not made.

    Raises:
        ValueError: the size or the number of steps is too small.
    """
    width, height = size
    wanted = VideoShape.from_duration(duration_s, fps, height, width)
    batches = -(-wanted.frames // vae.batch)
    latent = vae.latent(wanted._replace(frames=batches * vae.batch))
    if not (latent.height and latent.width):
        raise ValueError(f"{width} x {height} pixels are less than one latent")
    return OpenSoraPlan(
        shape=VideoShape(wanted.frames, latent.height * SPATIAL_FACTOR, latent.width * SPATIAL_FACTOR),
        told=Format(height=height, width=width, fps=fps),
        latent=latent,
        timesteps=shifted_schedule(steps, noise_shift(latent.frames, height, width)),
        guidance=guidance,
    )


def noise_shift(latent_frames: int, height: int, width: int) -> float:
    """Returns the shift of the schedule of a clip, see `flow.shift_time`: the root of what there is to lay out."""
    return math.sqrt(latent_frames * height * width) / _UNSHIFTED_SIZE


def start(plan: OpenSoraPlan, seed: int, first_frame: Tensor | None = None) -> SamplerState:
    """Returns the noise that sampling begins from, after the given latent [1, 1, h, w, C] if there is one."""
    return _begun_with(first_frame, initial_state((1, *plan.latent), seed, plan.timesteps, _SOLVER))


def restart(
    plan: OpenSoraPlan,
    seed: int,
    source: Tensor,
    strength: float,
    first_frame: Tensor | None = None,
    steps: int | None = None,
) -> SamplerState:
    """Returns the state from which another clip's latent [1, f, h, w, C] is made anew, the freer the higher `strength`.

    Raises:
        ValueError: as `noised_state`.
    """
    return _begun_with(first_frame, noised_state(source, strength, seed, plan.timesteps, _SOLVER, steps))


def _begun_with(first_frame: Tensor | None, state: SamplerState) -> SamplerState:
    if first_frame is not None:
        state.latent[:, :1] = first_frame
    return state


def sample(
    stdit3: STDiT3,
    plan: OpenSoraPlan,
    state: SamplerState,
    prompt: PromptEmbedding,
    negative: PromptEmbedding | None = None,
    *,
    held: int = 0,
) -> Iterator[SamplerState]:
    """Yields the state after each remaining step, on the CPU.

    Args:
        stdit3: the transformer, where it is to compute and in the precision it is to compute in.
        plan: the plan.
        state: where to go on from, on the CPU.
        prompt: the encoded caption; no longer than the learned null text.
        negative: takes the place of the null text.
        held: latent frames at the start that are given and stay to the bit.
    """
    device = device_of(stdit3)
    text = batched(prompt).to(device)
    against = stdit3.null_text(text) if negative is None else batched(negative).to(device)

    def network(latents: Tensor, levels: Tensor, told: Text) -> Tensor:
        velocity: Tensor = stdit3(latents.to(device), levels.to(device), told, plan.told)
        return -velocity.to(latents.device)

    velocity = guided(network, text, against, plan.guidance, held)
    while not state.finished:
        with torch.inference_mode():
            state = advance(state, velocity)
        yield state


def encode_picture(vae: OpenSoraVAE, plan: OpenSoraPlan, picture: NDArray[np.uint8]) -> Tensor:
    """Returns the latent [1, 1, h, w, C], on the CPU, of a picture uint8 [H, W, 3] of any size, scaled and cropped."""
    return _encode_batch(vae, plan, picture[None])


def encode_clip(vae: OpenSoraVAE, plan: OpenSoraPlan, frames: NDArray[np.uint8]) -> Tensor:
    """Returns the latent [1, f, h, w, C], on the CPU, of frames uint8 [T, H, W, 3] of any size, scaled and cropped.

    It is as long as the plan's: cut, or the last frame repeated.
    """
    made, batch = _frames_made(vae, plan), vae.config.batch
    whole = np.concatenate((frames[:made], np.repeat(frames[-1:], max(0, made - len(frames)), 0)))
    return torch.cat([_encode_batch(vae, plan, whole[at : at + batch]) for at in range(0, made, batch)], 1)


def _encode_batch(vae: OpenSoraVAE, plan: OpenSoraPlan, frames: NDArray[np.uint8]) -> Tensor:
    pixels_FCHW = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    video_BCFHW = covering(pixels_FCHW, *plan.shape[1:]).permute(1, 0, 2, 3)[None]
    with torch.inference_mode():
        return vae.encode(video_BCFHW.to(device_of(vae))).cpu()


def _frames_made(vae: OpenSoraVAE, plan: OpenSoraPlan) -> int:
    """Of which `plan.shape.frames` come out."""
    return plan.latent.frames // vae.config.latent_batch * vae.config.batch


def decode(vae: OpenSoraVAE, plan: OpenSoraPlan, latent: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Yields consecutive uint8 [T, H, W, 3], a batch at a time, `plan.shape.frames` in all."""
    left = plan.shape.frames
    with torch.inference_mode():
        for video_BCFHW in vae.decode_batches(latent.to(device_of(vae)), _frames_made(vae, plan)):
            frames = to_frames(video_BCFHW[0, :, :left])
            left -= len(frames)
            yield frames
