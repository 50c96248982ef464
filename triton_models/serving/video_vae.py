"""The `video_vae` model: latents to frames, one response per chunk, in memory that does not grow with the clip.

The lips of a face follow what will be said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.pipeline import GenerationPlan, decode
from triton_models.modeling.reference import ReferenceModel, load_reference
from triton_models.modeling.speech.lip_sync import moved_lips
from triton_models.modeling.speech.talker import Talker
from triton_models.serving.dit import plan_of
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_latents
from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import ClipRequest, VaeRequest, is_probe, parse
from triton_models.serving.respond import Message


@dataclass(frozen=True)
class VideoVaeEngine:
    """The loaded decoder and the directory its requests may use."""

    model: ReferenceModel
    talker: Talker
    scratch_dir: Path

    @classmethod
    def load(cls, parameters: ModelParameters) -> VideoVaeEngine:
        """Loads the weights; errors as `prepare_process` and `load_reference`."""
        prepare_process(parameters.threads)
        directory = parameters.entry.weights
        return cls(load_reference(directory), Talker.find(directory), parameters.scratch_dir)

    def run(self, text: str) -> Iterator[Message]:
        """Yields the plan with the native size and rate, then each chunk as it lies on disk, last the result.

        Raises:
            InvalidRequest: the request is wrong, or the latents are not of this clip.
        """
        if is_probe(text):
            return self._probe()
        request = parse(VaeRequest, text, self.scratch_dir)
        plan = plan_of(self.model.config, request)
        latent = read_latents(request.latents)
        if tuple(latent.shape[1:]) != plan.shape.latent():
            raise InvalidRequest(f"latents of {tuple(latent.shape[1:])} are not of {tuple(plan.shape.latent())}")
        return self._decode(request, plan, latent)

    def _decode(self, request: VaeRequest, plan: GenerationPlan, latent: Tensor) -> Iterator[Message]:
        frames = plan.shape.frames
        width, height = self.model.config.output_size(request.aspect_ratio)
        yield {"type": "plan", "frames": frames, "height": height, "width": width, "fps": plan.fps}
        request.output_dir.mkdir(parents=True, exist_ok=True)
        chunks = self._spoken(request, plan, decode(self.model, plan, latent, request.chunk_frames))
        done = 0
        began = time.perf_counter()
        for number, chunk in enumerate(chunks):
            finished = chunk if self.model.upsampler is None else self.model.upsampler.enlarge(chunk)
            decode_ms = (time.perf_counter() - began) * 1000
            path = _write(request.output_dir / f"chunk-{number:05d}.rgb", finished)
            done += len(chunk)
            yield {
                "type": "chunk",
                "path": str(path),
                "frames": len(chunk),
                "done": done,
                "total": frames,
                "decode_time_ms": decode_ms,
            }
            began = time.perf_counter()
        yield {"type": "result", "frames": done}

    def _spoken(
        self, request: VaeRequest, plan: GenerationPlan, chunks: Iterator[NDArray[np.uint8]]
    ) -> Iterator[NDArray[np.uint8]]:
        """The chunks, with the lips of a face moved where somebody speaks."""
        refiner, spoken = self.talker.refiner, request.spoken
        speech = self.talker.plan(spoken.prompt, spoken.seed, request.duration_s) if spoken is not None else None
        return chunks if refiner is None or speech is None else moved_lips(chunks, refiner, speech, plan.fps)

    def _probe(self) -> Iterator[Message]:
        config = self.model.config
        shortest = ClipRequest(
            tier=next(iter(config.tiers)), aspect_ratio=next(iter(config.sizes)), duration_s=config.min_duration_s
        )
        plan = plan_of(config, shortest)
        first = next(decode(self.model, plan, torch.zeros(1, *plan.shape.latent()), 1))
        yield {"type": "probe", "healthy": len(first) == 1, "model_digest": self.model.digest}


def _write(path: Path, chunk: NDArray[np.uint8]) -> Path:
    """Not synced to disk: a chunk is read at once, and made again after a crash."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(chunk.tobytes())
    return partial.replace(path)
