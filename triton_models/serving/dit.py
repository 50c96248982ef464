"""The `dit` model: prompt embeddings to latents, one response per denoising step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from triton_models.modeling.checkpoint import CheckpointError, Origin, read_checkpoint
from triton_models.modeling.engine import engine_hash
from triton_models.modeling.flow import SamplerState
from triton_models.modeling.pipeline import (
    GenerationPlan,
    encode_picture,
    plan_generation,
    request_digest,
    sample,
    start,
)
from triton_models.modeling.reference import ReferenceConfig, ReferenceModel, load_reference
from triton_models.modeling.shapes import SPATIAL_FACTOR, TEMPORAL_FACTOR
from triton_models.modeling.text import PromptEmbedding
from triton_models.serving.checkpoint_writer import CheckpointWriter
from triton_models.serving.errors import CheckpointRefused, InvalidRequest
from triton_models.serving.files import read_embeddings, read_picture, write_latents
from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import ClipRequest, DitRequest, is_probe, parse
from triton_models.serving.respond import Message


@dataclass(frozen=True)
class DitEngine:
    """The loaded transformer and the directory its requests may use."""

    model: ReferenceModel
    scratch_dir: Path
    engine_hash: str

    @classmethod
    def load(cls, parameters: ModelParameters) -> DitEngine:
        """Loads the weights; errors as `prepare_process` and `load_reference`."""
        prepare_process(parameters.threads)
        return cls(load_reference(parameters.entry.weights), parameters.scratch_dir, engine_hash())

    def run(self, text: str) -> Iterator[Message]:
        """Yields the plan, a step after each denoising step, and last the result, or `stopped` if it was asked to stop.

        Raises:
            InvalidRequest: the request is wrong.
            CheckpointRefused: it cannot be resumed from the checkpoint it names.
        """
        if is_probe(text):
            return self._probe()
        request = parse(DitRequest, text, self.scratch_dir)
        plan = plan_of(self.model.config, request, request.steps, request.guidance)
        first_frame = None
        if request.first_frame is not None:
            first_frame = encode_picture(self.model, plan, read_picture(request.first_frame))
            plan = replace(plan, held_frames=1)
        prompt, negative = read_embeddings(request.embeddings)
        origin = Origin(
            model_digest=self.model.digest,
            engine_hash=self.engine_hash,
            request_digest=request_digest(plan, prompt, request.seed, first_frame),
        )
        state = _state(request, plan, origin, first_frame)
        writer = CheckpointWriter(request.checkpoint_dir, origin)
        states = sample(self.model, plan, state, prompt, negative)
        return _sample(self._describe(plan, state), request, state, states, writer)

    def _describe(self, plan: GenerationPlan, state: SamplerState) -> Message:
        frames, height, width = plan.shape
        return {
            "type": "plan",
            "step": state.step,
            "total": state.total_steps,
            "frames": frames,
            "height": height,
            "width": width,
            "fps": plan.fps,
            "spatial_factor": SPATIAL_FACTOR,
            "temporal_factor": TEMPORAL_FACTOR,
            "model_digest": self.model.digest,
        }

    def _probe(self) -> Iterator[Message]:
        config = self.model.config
        tier, aspect = next(iter(config.tiers)), next(iter(config.sizes))
        plan = plan_generation(config, tier=tier, aspect_ratio=aspect, duration_s=config.min_duration_s, steps=1)
        # As many as any prompt has: the transformer reads the summary's tokens by their places.
        tokens = max(1, config.text.summary_tokens)
        prompt = PromptEmbedding(torch.zeros(tokens, config.text.width), torch.ones(tokens, dtype=torch.bool))
        state = next(sample(self.model, plan, start(plan, 0), prompt))
        healthy = bool(torch.isfinite(state.latent).all())
        yield {"type": "probe", "healthy": healthy, "model_digest": self.model.digest}


def _state(request: DitRequest, plan: GenerationPlan, origin: Origin, first_frame: Tensor | None) -> SamplerState:
    if request.resume is None:
        return start(plan, request.seed, first_frame)
    try:
        return read_checkpoint(request.resume, origin)
    except CheckpointError as error:
        raise CheckpointRefused(str(error)) from error


def _sample(
    plan: Message, request: DitRequest, state: SamplerState, states: Iterator[SamplerState], writer: CheckpointWriter
) -> Iterator[Message]:
    yield plan
    with writer:
        while not state.finished:
            began = time.perf_counter()
            state = next(states)
            step_ms = (time.perf_counter() - began) * 1000
            if due(state, request.checkpoint_every):
                writer.submit(state)
            yield step_message(state, step_ms, writer)
            if request.stop_file.exists() and not state.finished:
                writer.submit(state)
                yield {"type": "stopped", "step": state.step, "checkpoints": writer.drain()}
                return
        latents = write_latents(request.output, state.latent)
        yield {"type": "result", "latents": latents, "checkpoints": writer.drain()}


def due(state: SamplerState, every: int) -> bool:
    """Tells whether a checkpoint is due; the final latents are kept anyway."""
    return every > 0 and state.step % every == 0 and not state.finished


def step_message(state: SamplerState, step_ms: float, writer: CheckpointWriter) -> Message:
    """Describes a finished step and the checkpoints that have reached the disk since the last one."""
    return {
        "type": "step",
        "step": state.step,
        "total": state.total_steps,
        "sigma": state.sigma,
        "step_time_ms": step_ms,
        "checkpoints": writer.finished(),
    }


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
