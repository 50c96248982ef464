"""A clip of a tiny model, by our engines and by the pipeline that diffusers has for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import LTX2Pipeline, MochiPipeline, WanPipeline
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from services.encoder.models import PublishedText
from tests.support.checkpoints.families import FPS, HEIGHT, WIDTH, tiny_model
from triton_models.adapters.ltx2 import Ltx2Decoder, Ltx2Denoiser
from triton_models.adapters.mochi import MochiDecoder, MochiDenoiser
from triton_models.adapters.wan import WanDecoder, WanDenoiser
from triton_models.serving.decoder import DecoderEngine
from triton_models.serving.denoiser import DenoiserEngine
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.requests import VaeRequest

PROMPT, NEGATIVE, SEED, STEPS = "a red ball", "blurry", 7, 4
DENOISERS: dict[str, Any] = {"MOCHI1": MochiDenoiser, "LTX2": Ltx2Denoiser, "WAN": WanDenoiser}
DECODERS: dict[str, Any] = {"MOCHI1": MochiDecoder, "LTX2": Ltx2Decoder, "WAN": WanDecoder}
_PIPELINES: dict[str, Any] = {"MOCHI1": MochiPipeline, "LTX2": LTX2Pipeline, "WAN": WanPipeline}
_GRID_FRAMES = {"MOCHI1": 13, "LTX2": 9, "WAN": 9}
"""What eight frames, two seconds, are made up to."""


@dataclass(frozen=True)
class PipelineRun:
    """What a pipeline made."""

    steps: list[Tensor]
    """Latents after each step, as the transformer sees them."""
    frames: NDArray[np.uint8]
    sound: NDArray[np.float32] | None


@dataclass(frozen=True)
class Run:
    """The settings and the files of one model's runs."""

    name: str
    parameters: ModelParameters

    @classmethod
    def of(cls, name: str, weights: Path, scratch: Path, **changes: Any) -> Run:
        """A run on one thread of the CPU."""
        return cls(name, ModelParameters(tiny_model(name, weights, **changes), scratch.resolve(), 1, "cpu"))

    @property
    def scratch(self) -> Path:
        """Where its files are."""
        return self.parameters.scratch_dir

    def encode(self) -> None:
        """Writes the embeddings, as the encoder service does."""
        text = PublishedText.load(self.name, self.parameters.entry, torch.device("cpu"))
        (self.scratch / "embeddings.safetensors").write_bytes(text.encode(PROMPT, NEGATIVE).blob)

    def denoise(self, **changes: Any) -> list[dict[str, Any]]:
        """Returns the answers; the latents are in `latents`."""
        request = {
            **self._clip(),
            "embeddings": str(self.scratch / "embeddings.safetensors"),
            "steps": STEPS,
            "guidance": 3.0,
            "seed": SEED,
            "checkpoint_every": 1,
            "checkpoint_dir": str(self.scratch / "checkpoints"),
            "stop_file": str(self.scratch / "stop"),
            "output": str(self.scratch / "latents.safetensors"),
            **changes,
        }
        return list(self._engine.run(json.dumps(request)))

    @cached_property
    def _engine(self) -> DenoiserEngine:
        return DenoiserEngine.load(self.parameters, DENOISERS[self.name].load)

    @property
    def latents(self) -> dict[str, Tensor]:
        """What the last run left."""
        return dict(load_file(self.scratch / "latents.safetensors"))

    def vae_request(self, chunk_frames: int) -> VaeRequest:
        """Asks for the frames of the last run's latents."""
        latents, chunks = self.scratch / "latents.safetensors", self.scratch / "chunks"
        clip = self._clip()
        return VaeRequest.model_construct(**clip, latents=latents, output_dir=chunks, chunk_frames=chunk_frames)

    def frames(self, chunk_frames: int) -> NDArray[np.uint8]:
        """Returns the frames that the last run's latents decode to."""
        request = self.vae_request(chunk_frames).model_dump_json()
        messages = DecoderEngine.load(self.parameters, DECODERS[self.name].load).run(request)
        paths = [message["path"] for message in messages if message["type"] == "chunk"]
        return np.concatenate([np.fromfile(path, np.uint8).reshape(-1, HEIGHT, WIDTH, 3) for path in paths])

    def checkpoint(self, step: int) -> Path:
        """Returns where the last run's checkpoint of a step lies."""
        return self.scratch / "checkpoints" / f"step-{step:04d}.safetensors"

    def pipeline(self, **changes: Any) -> PipelineRun:
        """Returns what diffusers makes of the same request."""
        entry = self.parameters.entry
        dtype = getattr(torch, entry.dtype)
        # Wan's decoder stays in float32, as its authors have it.
        precision = {"default": dtype, "vae": torch.float32} if self.name == "WAN" else dtype
        pipeline = _PIPELINES[self.name].from_pretrained(entry.weights, dtype=precision, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        steps: list[Tensor] = []

        def keep(_pipe: Any, _step: int, _t: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            steps.append(tensors["latents"])
            return tensors

        rate = {"frame_rate": float(FPS)} if self.name == "LTX2" else {}
        result = pipeline(
            PROMPT,
            NEGATIVE,
            height=HEIGHT,
            width=WIDTH,
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(SEED),
            output_type="pil",
            callback_on_step_end=keep,
            **{"guidance_scale": 3.0, "num_frames": _GRID_FRAMES[self.name], **rate, **changes},
        )
        frames = np.stack([np.asarray(frame) for frame in result.frames[0]])
        return PipelineRun(steps, frames, result.audio[0].float().numpy() if self.name == "LTX2" else None)

    def _clip(self) -> dict[str, Any]:
        return {"tier": "STANDARD", "aspect_ratio": "16:9", "duration_s": 2}
