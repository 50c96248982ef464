"""REFERENCE, and whatever else is of its architecture, as the Triton models `dit` and `video_vae` serve it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.flow import SamplerState
from triton_models.modeling.pipeline import (
    GenerationPlan,
    decode,
    encode_picture,
    plan_generation,
    request_digest,
    sample,
    start,
)
from triton_models.modeling.reference import ReferenceConfig, ReferenceModel, load_reference
from triton_models.modeling.shapes import SPATIAL_FACTOR, TEMPORAL_FACTOR
from triton_models.modeling.speech.lip_sync import moved_lips
from triton_models.modeling.speech.talker import Talker
from triton_models.modeling.text import PromptEmbedding
from triton_models.serving.decoder import DecodedClip
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_embeddings, read_latents, read_picture
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.requests import ClipRequest, DitRequest, VaeRequest


@dataclass(frozen=True)
class ReferenceSampling:
    """One clip on its way."""

    model: ReferenceModel
    generation: GenerationPlan
    seed: int
    prompt: PromptEmbedding
    negative: PromptEmbedding | None
    first_frame: Tensor | None

    @property
    def plan(self) -> ClipPlan:
        """What will come out."""
        frames, height, width = self.generation.shape
        return ClipPlan(
            frames=frames,
            height=height,
            width=width,
            fps=self.generation.fps,
            spatial_factor=SPATIAL_FACTOR,
            temporal_factor=TEMPORAL_FACTOR,
        )

    @property
    def digest(self) -> str:
        """Of plan, prompts, seed and picture."""
        return request_digest(self.generation, self.prompt, self.seed, self.first_frame, self.negative)

    def start(self) -> SamplerState:
        """Noise, behind the picture where there is one."""
        return start(self.generation, self.seed, self.first_frame)

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """As `sample`."""
        return sample(self.model, self.generation, state, self.prompt, self.negative)

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """The state's own."""
        return {"latent": state.latent}


@dataclass(frozen=True)
class ReferenceDenoiser:
    """The transformer."""

    model: ReferenceModel

    @property
    def digest(self) -> str:
        """Of all its weights."""
        return self.model.digest

    @classmethod
    def load(cls, parameters: ModelParameters) -> ReferenceDenoiser:
        """Loads the weights; errors as `load_reference`."""
        return cls(load_reference(parameters.entry.weights))

    def begin(self, request: DitRequest) -> ReferenceSampling:
        """Reads the embeddings and the picture."""
        plan = plan_of(self.model.config, request, request.steps, request.guidance)
        first_frame = None
        if request.first_frame is not None:
            first_frame = encode_picture(self.model, plan, read_picture(request.first_frame))
            plan = replace(plan, held_frames=1)
        prompt, negative = read_embeddings(request.embeddings)
        return ReferenceSampling(self.model, plan, request.seed, prompt, negative, first_frame)

    def probe(self) -> bool:
        """One step of the shortest clip."""
        config = self.model.config
        tier, aspect = next(iter(config.tiers)), next(iter(config.sizes))
        plan = plan_generation(config, tier=tier, aspect_ratio=aspect, duration_s=config.min_duration_s, steps=1)
        # As many as any prompt has: the transformer reads the summary's tokens by their places.
        tokens = max(1, config.text.summary_tokens)
        prompt = PromptEmbedding(torch.zeros(tokens, config.text.width), torch.ones(tokens, dtype=torch.bool))
        state = next(sample(self.model, plan, start(plan, 0), prompt))
        return bool(torch.isfinite(state.latent).all())


@dataclass(frozen=True)
class ReferenceDecoder:
    """The decoder, in memory that does not grow with the clip. The lips of a face follow what will be said."""

    model: ReferenceModel
    talker: Talker

    @property
    def digest(self) -> str:
        """Of all the model's weights."""
        return self.model.digest

    @classmethod
    def load(cls, parameters: ModelParameters) -> ReferenceDecoder:
        """Loads the weights; errors as `load_reference`."""
        directory = parameters.entry.weights
        return cls(load_reference(directory), Talker.find(directory))

    def decode(self, request: VaeRequest) -> DecodedClip:
        """Decodes, moves lips and enlarges."""
        plan = plan_of(self.model.config, request)
        latent = read_latents(request.latents)
        if tuple(latent.shape[1:]) != plan.shape.latent():
            raise InvalidRequest(f"latents of {tuple(latent.shape[1:])} are not of {tuple(plan.shape.latent())}")
        width, height = self.model.config.output_size(request.aspect_ratio)
        chunks = self._spoken(request, plan, decode(self.model, plan, latent, request.chunk_frames))
        if self.model.upsampler is not None:
            chunks = map(self.model.upsampler.enlarge, chunks)
        return DecodedClip(frames=plan.shape.frames, height=height, width=width, fps=plan.fps, chunks=chunks)

    def _spoken(
        self, request: VaeRequest, plan: GenerationPlan, chunks: Iterator[NDArray[np.uint8]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The chunks, with the lips of a face moved where somebody speaks."""
        refiner, spoken = self.talker.refiner, request.spoken
        speech = self.talker.plan(spoken.prompt, spoken.seed, request.duration_s) if spoken is not None else None
        return chunks if refiner is None or speech is None else moved_lips(chunks, refiner, speech, plan.fps)

    def probe(self) -> bool:
        """One frame of the shortest clip."""
        config = self.model.config
        shortest = ClipRequest(
            tier=next(iter(config.tiers)), aspect_ratio=next(iter(config.sizes)), duration_s=config.min_duration_s
        )
        plan = plan_of(config, shortest)
        first = next(decode(self.model, plan, torch.zeros(1, *plan.shape.latent()), 1))
        return len(first) == 1


def plan_of(
    config: ReferenceConfig, request: ClipRequest, steps: int | None = None, guidance: float | None = None
) -> GenerationPlan:
    """Returns the plan of a clip.

    Raises:
        InvalidRequest: the model does not make such clips.
    """
    try:
        return plan_generation(
            config,
            tier=request.tier,
            aspect_ratio=request.aspect_ratio,
            duration_s=request.duration_s,
            steps=steps,
            guidance=guidance,
        )
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
