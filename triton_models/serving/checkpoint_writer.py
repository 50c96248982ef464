"""Writes checkpoints beside the computation: a thread takes sampler states and nobody waits for the disk."""

from __future__ import annotations

import base64
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from triton_models.modeling.checkpoint import CheckpointManifest, Origin, write_checkpoint
from triton_models.modeling.flow import SamplerState
from triton_models.serving.respond import Message

logger = logging.getLogger(__name__)


class CheckpointWriter:
    """Writes states of one request into one directory. A disk that fails costs checkpoints, not the job."""

    def __init__(self, directory: Path, origin: Origin) -> None:
        self._directory = directory
        self._origin = origin
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: list[Future[Message]] = []
        self._submitted_step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)

    def submit(self, state: SamplerState) -> None:
        """Has the state written; its tensors are never changed in place, so no copy is made. Once per step."""
        if state.step != self._submitted_step:
            self._submitted_step = state.step
            self._writing.append(self._thread.submit(self._write, state))

    def finished(self) -> list[Message]:
        """Returns the checkpoints written since the last call."""
        done = [future for future in self._writing if future.done()]
        self._writing = [future for future in self._writing if future not in done]
        return [future.result() for future in done if _succeeded(future)]

    def drain(self) -> list[Message]:
        """Waits for all submitted states, then as `finished`."""
        self._thread.shutdown(wait=True)
        return self.finished()

    def _write(self, state: SamplerState) -> Message:
        began = time.perf_counter()
        path = self._directory / f"step-{state.step:04d}.safetensors"
        manifest = write_checkpoint(path, state, self._origin)
        write_ms = (time.perf_counter() - began) * 1000
        return {**_describe(path, manifest), "carries": sorted(state.carried), "write_ms": write_ms}


def _succeeded(future: Future[Message]) -> bool:
    if (error := future.exception()) is not None:
        logger.error("checkpoint not written", exc_info=error)
    return error is None


def _describe(path: Path, manifest: CheckpointManifest) -> Message:
    cuda = torch.cuda.get_rng_state().numpy().tobytes() if torch.cuda.is_available() else b""
    return {
        "path": str(path),
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
        "step": manifest.step_number,
        "total": manifest.total_steps,
        "shape": list(manifest.latent_shape),
        "dtype": manifest.latent_dtype,
        "timesteps_remaining": manifest.timesteps[manifest.step_number :],
        "sigma": manifest.sigma_current,
        "model_digest": manifest.model_digest,
        "engine_hash": manifest.engine_hash,
        "rng_state_cpu": base64.b64encode(torch.get_rng_state().numpy().tobytes()).decode(),
        "rng_state_cuda": base64.b64encode(cuda).decode(),
    }
