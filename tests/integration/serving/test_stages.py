"""The `video_vae` and `audio` models on the real Triton."""

from __future__ import annotations

import wave
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.worker.errors import ModelFailedError
from services.worker.triton import Message
from tests.support.inference import Inference

pytestmark = pytest.mark.integration

CLIP = {"tier": "STANDARD", "aspect_ratio": "16:9", "duration_s": 2}


@pytest.fixture
def directory(inference: Inference, request: pytest.FixtureRequest) -> Path:
    path = inference.scratch / str(request.node.name)
    path.mkdir()
    return path


async def run(inference: Inference, model: str, request: Message) -> list[Message]:
    async with aclosing(inference.client.stream(model, request)) as messages:
        return [message async for message in messages]


def write_latents(path: Path, frames: int, height: int, width: int) -> Path:
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    save_file({"latent": torch.randn(1, frames, height, width, 16, generator=generator)}, path)
    return path


def vae_request(directory: Path, **changes: Any) -> Message:
    latents = write_latents(directory / "latents.safetensors", 7, 8, 14)
    return {**CLIP, "latents": str(latents), "output_dir": str(directory / "chunks"), **changes}


async def decoded(inference: Inference, request: Message) -> np.ndarray[Any, np.dtype[np.uint8]]:
    plan, *chunks, result = await run(inference, "video_vae", request)
    pixels = [np.fromfile(chunk["path"], np.uint8) for chunk in chunks]
    frames = np.concatenate(pixels).reshape(-1, plan["height"], plan["width"], 3)
    assert len(frames) == plan["frames"] == result["frames"] == chunks[-1]["done"] == chunks[-1]["total"]
    return frames


async def test_frames_come_in_chunks_and_the_cut_does_not_show(inference: Inference, directory: Path) -> None:
    fine = await decoded(inference, vae_request(directory, chunk_frames=1))
    coarse = await decoded(inference, vae_request(directory, chunk_frames=4))
    assert np.array_equal(fine, coarse)
    width, height = inference.config.output_size("16:9")
    assert fine.shape == (2 * inference.config.fps, height, width, 3)
    assert fine.std() > 0


async def test_latents_of_another_clip_are_refused(inference: Inference, directory: Path) -> None:
    with pytest.raises(ModelFailedError, match="INVALID_REQUEST: latents of"):
        await run(inference, "video_vae", vae_request(directory, duration_s=3))


async def test_latents_that_are_not_there_are_refused(inference: Inference, directory: Path) -> None:
    missing = str(directory / "missing.safetensors")
    with pytest.raises(ModelFailedError, match=r"INVALID_REQUEST: missing.safetensors cannot be read"):
        await run(inference, "video_vae", vae_request(directory, latents=missing))


async def test_sound_has_the_length_of_the_clip_and_comes_step_by_step(inference: Inference, directory: Path) -> None:
    request = {
        "embeddings": str(inference.write_embeddings(directory / "embeddings.safetensors")),
        "latents": str(write_latents(directory / "latents.safetensors", 7, 8, 14)),
        "prompt": "rain on a lake",
        "aspect_ratio": "16:9",
        "duration_s": 2,
        "include_speech": False,
        "include_music": False,
        "include_ambient": True,
        "seed": 7,
        "output": str(directory / "sound.wav"),
    }
    *steps, result = await run(inference, "audio", request)
    assert [step["step"] for step in steps] == list(range(1, steps[0]["total"] + 1))
    with wave.open(result["path"]) as sound:
        assert (sound.getnchannels(), sound.getnframes()) == (2, 2 * result["sample_rate"])
    again = await run(inference, "audio", request)
    assert again[-1]["sha256"] == result["sha256"]
