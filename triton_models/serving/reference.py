"""REFERENCE, and whatever else is of its architecture, as the Triton models `dit` and `video_vae` serve it."""

from __future__ import annotations

import hashlib
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
    encode_clip,
    encode_picture,
    plan_generation,
    request_digest,
    restart,
    sample,
    start,
)
from triton_models.modeling.preview import LatentPreview, foreseen
from triton_models.modeling.reference import ReferenceConfig, ReferenceModel, load_reference
from triton_models.modeling.shapes import SPATIAL_FACTOR, TEMPORAL_FACTOR
from triton_models.modeling.speech.lip_sync import moved_lips
from triton_models.modeling.speech.talker import Talker
from triton_models.modeling.text import PromptEmbedding
from triton_models.serving.decoder import DecodedClip
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_embeddings, read_frames, read_latents, read_picture
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
    reference: Tensor | None
    """What the clip is made after, as a latent."""
    strength: float
    """Level of the noise over the reference."""
    reference_steps: int | None
    """Steps from there; None for that share of all."""
    previewer: LatentPreview | None

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
        """Of plan, prompts, seed, picture, reference as it is used, and precision."""
        given = self.first_frame if self.reference is None else self.start().latent
        request = request_digest(self.generation, self.prompt, self.seed, given, self.negative)
        return hashlib.sha256(f"{request} {self.model.config.precision}".encode()).hexdigest()

    def start(self) -> SamplerState:
        """Noise, over the reference and behind the picture where there are any."""
        if self.reference is None:
            return start(self.generation, self.seed, self.first_frame)
        return restart(
            self.generation, self.seed, self.reference, self.strength, self.first_frame, self.reference_steps
        )

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """As `sample`."""
        return sample(self.model, self.generation, state, self.prompt, self.negative)

    def preview(self, before: SamplerState, after: SamplerState) -> NDArray[np.uint8] | None:
        """The frame in the middle of the foreseen clip."""
        return None if self.previewer is None else self.previewer.picture(foreseen(before, after))

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """The state's own."""
        return {"latent": state.latent}


@dataclass(frozen=True)
class ReferenceDenoiser:
    """The transformer."""

    model: ReferenceModel
    previewer: LatentPreview | None = None

    @property
    def digest(self) -> str:
        """Of all its weights."""
        return self.model.digest

    @classmethod
    def load(cls, parameters: ModelParameters) -> ReferenceDenoiser:
        """Loads the weights; errors as `load_reference` and `resident_device`."""
        return cls(_load(parameters), LatentPreview.find(parameters.entry.weights))

    def begin(self, request: DitRequest) -> ReferenceSampling:
        """Reads the embeddings, the picture and the reference."""
        plan = plan_of(self.model.config, request, request.steps, request.guidance)
        first_frame = None
        if request.first_frame is not None:
            first_frame = encode_picture(self.model, plan, read_picture(request.first_frame))
            plan = replace(plan, held_frames=1)
        prompt, negative = read_embeddings(request.embeddings)
        return ReferenceSampling(
            model=self.model,
            generation=plan,
            seed=request.seed,
            prompt=prompt,
            negative=negative,
            first_frame=first_frame,
            reference=None if request.reference is None else self._encoded(plan, read_frames(request.reference)),
            strength=request.strength,
            reference_steps=request.reference_steps,
            previewer=self.previewer,
        )

    def _encoded(self, plan: GenerationPlan, frames: NDArray[np.uint8]) -> Tensor:
        """As long as the clip: cut, or its last frame repeated."""
        missing = max(0, plan.shape.frames - len(frames))
        whole = np.concatenate((frames[: plan.shape.frames], np.repeat(frames[-1:], missing, 0)))
        return encode_clip(self.model, plan, whole)

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
        """Loads the weights; errors as `load_reference` and `resident_device`."""
        model = _load(parameters)
        return cls(model, Talker.find(parameters.entry.weights, model.device))

    def decode(self, request: VaeRequest) -> DecodedClip:
        """Decodes, moves lips and enlarges."""
        plan = plan_of(self.model.config, request)
        latent = read_latents(request.latents)
        if tuple(latent.shape[1:]) != plan.shape.latent():
            raise InvalidRequest(f"latents of {tuple(latent.shape[1:])} are not of {tuple(plan.shape.latent())}")
        width, height = self.model.config.output_size(request.aspect_ratio)
        chunks = self._spoken(request, plan, decode(self.model, plan, latent, request.chunk_frames))
        if self.model.upsampler is not None:
            chunks = (self.model.upsampler.enlarge(chunk, self.model.config.precision) for chunk in chunks)
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


def _load(parameters: ModelParameters) -> ReferenceModel:
    entry = parameters.entry
    return load_reference(entry.weights, parameters.resident_device(), entry.precision)


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
