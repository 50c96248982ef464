"""The models that denoise: prompt embeddings to latents, one response per step.

What differs between families is a `Denoiser`, and for one request its `Sampling`; the loop over the steps, checkpoints,
stopping and messages are the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.checkpoint import CheckpointError, Origin, read_checkpoint
from triton_models.modeling.engine import choose_device, engine_hash
from triton_models.modeling.flow import SamplerState
from triton_models.serving.checkpoint_writer import CheckpointWriter
from triton_models.serving.errors import CheckpointRefused
from triton_models.serving.files import to_jpeg, write_latents
from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import DitRequest, is_probe, parse
from triton_models.serving.respond import Message


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """The clip that the latents will be decoded to, in native pixels and frames."""

    frames: int
    height: int
    width: int
    fps: float
    spatial_factor: int
    """Pixels to a latent, each way."""
    temporal_factor: int
    """Frames to a latent frame; the first stands alone."""


class Sampling(Protocol):
    """One request's way from noise to latents. The state between two steps holds all that the next ones need."""

    @property
    def plan(self) -> ClipPlan:
        """What will come out."""

    @property
    def digest(self) -> str:
        """Lower-case hexadecimal sha256 of all that decides the latents besides the model and the engine."""

    def start(self) -> SamplerState:
        """Returns the state before the first step."""

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """Yields the state after each remaining step; from equal states come equal ones, to the bit.

        No tensor of a state that was yielded is changed afterwards.
        """

    def preview(self, before: SamplerState, after: SamplerState) -> NDArray[np.uint8] | None:
        """Returns a small picture, uint8 [height, width, 3], of what a step is on the way to; None without a map."""

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """Returns what the finished state leaves to the decoders: `latent` [1, F, H, W, C], and others by name."""


class Denoiser(Protocol):
    """A family of networks that turns noise into latents."""

    @property
    def digest(self) -> str:
        """Lower-case hexadecimal sha256 of the weights and their configuration."""

    def begin(self, request: DitRequest) -> Sampling:
        """Reads what the request names.

        Raises:
            InvalidRequest: the request is wrong.
        """

    def probe(self) -> bool:
        """Computes the smallest case; returns whether what came out is sound."""


@dataclass(frozen=True)
class DenoiserEngine:
    """The loaded networks and the directory their requests may use."""

    denoiser: Denoiser
    scratch_dir: Path
    engine_hash: str

    @classmethod
    def load(cls, parameters: ModelParameters, load: Callable[[ModelParameters], Denoiser]) -> DenoiserEngine:
        """Loads the networks; errors as `prepare_process` and `load`."""
        prepare_process(parameters.threads)
        return cls(load(parameters), parameters.scratch_dir, engine_hash(choose_device(parameters.device)))

    def run(self, text: str) -> Iterator[Message]:
        """Yields the plan, a step after each denoising step, and last the result, or `stopped` if it was asked to stop.

        Raises:
            InvalidRequest: the request is wrong.
            CheckpointRefused: it cannot be resumed from the checkpoint it names.
        """
        if is_probe(text):
            return self._probe()
        request = parse(DitRequest, text, self.scratch_dir)
        sampling = self.denoiser.begin(request)
        origin = Origin(model_digest=self.denoiser.digest, engine_hash=self.engine_hash, request_digest=sampling.digest)
        state = sampling.start() if request.resume is None else _resumed(request.resume, origin)
        return self._sample(request, sampling, state, CheckpointWriter(request.checkpoint_dir, origin))

    def _sample(
        self, request: DitRequest, sampling: Sampling, state: SamplerState, writer: CheckpointWriter
    ) -> Iterator[Message]:
        yield self._describe(sampling, state)
        states = sampling.steps(state)
        with writer:
            while not state.finished:
                began, before = time.perf_counter(), state
                state = next(states)
                step_ms = (time.perf_counter() - began) * 1000
                if due(state, request.checkpoint_every):
                    writer.submit(state)
                picture = sampling.preview(before, state) if due(state, request.preview_every) else None
                yield step_message(state, step_ms, writer, picture)
                if request.stop_file.exists() and not state.finished:
                    writer.submit(state)
                    yield {"type": "stopped", "step": state.step, "checkpoints": writer.drain()}
                    return
            latents = write_latents(request.output, sampling.latents(state))
            yield {"type": "result", "latents": latents, "checkpoints": writer.drain()}

    def _describe(self, sampling: Sampling, state: SamplerState) -> Message:
        progress = {"step": state.step, "total": state.total_steps}
        return {"type": "plan", **progress, **asdict(sampling.plan), "model_digest": self.denoiser.digest}

    def _probe(self) -> Iterator[Message]:
        yield {"type": "probe", "healthy": self.denoiser.probe(), "model_digest": self.denoiser.digest}


def _resumed(path: Path, origin: Origin) -> SamplerState:
    try:
        return read_checkpoint(path, origin)
    except CheckpointError as error:
        raise CheckpointRefused(str(error)) from error


def due(state: SamplerState, every: int) -> bool:
    """Tells whether a checkpoint or preview is due; of the end comes the clip itself."""
    return every > 0 and state.step % every == 0 and not state.finished


def step_message(
    state: SamplerState, step_ms: float, writer: CheckpointWriter, preview: NDArray[np.uint8] | None = None
) -> Message:
    """Describes a finished step and the checkpoints that have reached the disk since the last one."""
    return {
        **({} if preview is None else {"preview": to_jpeg(preview)}),
        "type": "step",
        "step": state.step,
        "total": state.total_steps,
        "sigma": state.sigma,
        "step_time_ms": step_ms,
        "checkpoints": writer.finished(),
    }
