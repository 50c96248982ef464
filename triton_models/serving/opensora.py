"""OPENSORA, as the Triton models `opensora_dit` and `opensora_video_vae` serve it.

`weights` of its catalogue entry holds the published directories as `stdit3` and `vae`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.common.catalogue import Native
from triton_models.modeling.engine import digest_of
from triton_models.modeling.flow import SamplerState
from triton_models.modeling.opensora.pipeline import (
    OpenSoraPlan,
    decode,
    encode_clip,
    encode_picture,
    plan_clip,
    restart,
    sample,
    start,
)
from triton_models.modeling.opensora.stdit3 import STDiT3, STDiT3Config
from triton_models.modeling.opensora.vae import SPATIAL_FACTOR, OpenSoraVAE, OpenSoraVAEConfig
from triton_models.modeling.opensora.weights import load_stdit3, load_vae
from triton_models.modeling.pipeline import request_digest
from triton_models.modeling.text import PromptEmbedding
from triton_models.serving.decoder import DecodedClip
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_embeddings, read_frames, read_latents, read_picture
from triton_models.serving.native import native_size
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.requests import ClipRequest, DitRequest, VaeRequest

_TRANSFORMER = "stdit3"
_AUTOENCODER = "vae"
_PROBED = (64, 64)
"""Pixels of the smallest case: the native sizes are not small."""


@dataclass(frozen=True)
class OpenSoraSampling:
    """One clip on its way."""

    stdit3: STDiT3
    temporal_factor: int
    generation: OpenSoraPlan
    seed: int
    prompt: PromptEmbedding
    negative: PromptEmbedding | None
    first_frame: Tensor | None = None
    reference: Tensor | None = None
    """What the clip is made after, as a latent."""
    strength: float = 1.0
    """Level of the noise over the reference."""
    reference_steps: int | None = None
    """Steps from there; None for that share of all."""

    @property
    def plan(self) -> ClipPlan:
        """What will come out."""
        frames, height, width = self.generation.shape
        return ClipPlan(
            frames=frames,
            height=height,
            width=width,
            fps=self.generation.told.fps,
            spatial_factor=SPATIAL_FACTOR,
            temporal_factor=self.temporal_factor,
        )

    @property
    def digest(self) -> str:
        """Of plan, prompts, seed, all that is given, and precision."""
        request = request_digest(self.generation, self.prompt, self.seed, self.start().latent, self.negative)
        return hashlib.sha256(f"{request} {self.stdit3.dtype}".encode()).hexdigest()

    def start(self) -> SamplerState:
        """Noise, over the reference and behind the picture where there are any."""
        if self.reference is None:
            return start(self.generation, self.seed, self.first_frame)
        return restart(
            self.generation, self.seed, self.reference, self.strength, self.first_frame, self.reference_steps
        )

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """As `sample`."""
        held = 0 if self.first_frame is None else self.first_frame.shape[1]
        return sample(self.stdit3, self.generation, state, self.prompt, self.negative, held=held)

    def preview(self, before: SamplerState, after: SamplerState) -> NDArray[np.uint8] | None:  # noqa: ARG002
        """None: nobody has mapped its latents to colours."""
        return None

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """The state's own."""
        return {"latent": state.latent}


@dataclass(frozen=True)
class OpenSoraDenoiser:
    """The transformer, and the autoencoder for pictures and clips that are given."""

    stdit3: STDiT3
    vae: OpenSoraVAE
    native: Native
    digest: str

    @classmethod
    def load(cls, parameters: ModelParameters) -> OpenSoraDenoiser:
        """Loads the weights; errors as `load_stdit3` and `resident_device`."""
        entry, device = parameters.entry, parameters.resident_device()
        stdit3 = load_stdit3(entry.weights / _TRANSFORMER, getattr(torch, entry.dtype), device)
        vae = load_vae(entry.weights / _AUTOENCODER, device)
        return cls(stdit3, vae, entry.native, digest_of(entry.weights, _TRANSFORMER))

    def begin(self, request: DitRequest) -> OpenSoraSampling:
        """Reads the embeddings, the picture and the reference."""
        plan = plan_of(self.native, self.vae.config, request, request.steps, request.guidance)
        prompt, negative = read_embeddings(request.embeddings)
        for embedding in (prompt, negative):
            if embedding is not None:
                _check(embedding, self.stdit3.config)
        given: dict[str, Any] = {"strength": request.strength, "reference_steps": request.reference_steps}
        if request.first_frame is not None:
            given["first_frame"] = encode_picture(self.vae, plan, read_picture(request.first_frame))
        if request.reference is not None:
            given["reference"] = encode_clip(self.vae, plan, read_frames(request.reference))
        return self._sampling(plan, request.seed, prompt, negative, **given)

    def probe(self) -> bool:
        """One step of the shortest, small clip."""
        config = self.stdit3.config
        plan = plan_clip(self.vae.config, _PROBED, 0, self.native.fps, steps=1, guidance=1)
        prompt = PromptEmbedding(torch.zeros(1, config.text_width), torch.ones(1, dtype=torch.bool))
        sampling = self._sampling(plan, 0, prompt)
        return bool(torch.isfinite(next(sampling.steps(sampling.start())).latent).all())

    def _sampling(
        self,
        plan: OpenSoraPlan,
        seed: int,
        prompt: PromptEmbedding,
        negative: PromptEmbedding | None = None,
        **given: Any,
    ) -> OpenSoraSampling:
        factor = self.vae.config.temporal.factor
        return OpenSoraSampling(self.stdit3, factor, plan, seed, prompt, negative, **given)


@dataclass(frozen=True)
class OpenSoraDecoder:
    """The decoder, in memory that does not grow with the clip. It moves no lips: Open-Sora makes no sound."""

    vae: OpenSoraVAE
    native: Native
    digest: str

    @classmethod
    def load(cls, parameters: ModelParameters) -> OpenSoraDecoder:
        """Loads the weights; errors as `load_vae` and `resident_device`."""
        entry, device = parameters.entry, parameters.resident_device()
        vae = load_vae(entry.weights / _AUTOENCODER, device)
        return cls(vae, entry.native, digest_of(entry.weights, _AUTOENCODER))

    def decode(self, request: VaeRequest) -> DecodedClip:
        """Decodes in the batches that the model knows, whatever `chunk_frames` says."""
        plan = plan_of(self.native, self.vae.config, request)
        latent = read_latents(request.latents)
        if tuple(latent.shape[1:]) != plan.latent:
            raise InvalidRequest(f"latents of {tuple(latent.shape[1:])} are not of {tuple(plan.latent)}")
        frames, height, width = plan.shape
        chunks = decode(self.vae, plan, latent)
        return DecodedClip(frames=frames, height=height, width=width, fps=self.native.fps, chunks=chunks)

    def probe(self) -> bool:
        """One batch of a small clip."""
        plan = plan_clip(self.vae.config, _PROBED, 0, self.native.fps, steps=1, guidance=1)
        return len(next(decode(self.vae, plan, torch.zeros(1, *plan.latent)))) == plan.shape.frames


def plan_of(
    native: Native, vae: OpenSoraVAEConfig, request: ClipRequest, steps: int = 1, guidance: float = 1
) -> OpenSoraPlan:
    """Returns the plan of a clip; without `steps` and `guidance` one to decode by.

    Raises:
        InvalidRequest: the model does not make such clips.
    """
    return plan_clip(vae, native_size(native, request), request.duration_s, native.fps, steps, guidance)


def _check(embedding: PromptEmbedding, config: STDiT3Config) -> None:
    tokens, width = embedding.embeddings.shape
    if width != config.text_width or not 1 <= tokens <= config.text_tokens:
        wanted = f"1 to {config.text_tokens} tokens of {config.text_width}"
        raise InvalidRequest(f"embeddings of {tokens} tokens of {width} are not of {wanted}")
    if not embedding.mask.any():
        raise InvalidRequest("embeddings without a token that counts")
