"""OPENSORA on the real Triton: sampled, stopped and resumed in the middle to the same bits, decoded to frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from safetensors.torch import save_file

from services.worker.triton import Message
from tests.support.inference import Inference

pytestmark = pytest.mark.integration

MODELS = ("opensora_dit", "opensora_video_vae")
CLIP = {"tier": "STANDARD", "aspect_ratio": "16:9", "duration_s": 5}
FRAMES, HEIGHT, WIDTH = 120, 32, 56


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opensora(inference: Inference) -> AsyncIterator[Inference]:
    """Its two models are loaded, and afterwards unloaded: the others need the memory."""
    for model in MODELS:
        await inference.client.load(model)
    yield inference
    for model in MODELS:
        await inference.client.unload(model)


def request_in(directory: Path, **changes: Any) -> Message:
    embeddings = {"text_embeddings": torch.randn(9, 32, generator=torch.Generator().manual_seed(0))}
    directory.mkdir(exist_ok=True)
    save_file(embeddings | {"text_mask": torch.ones(9)}, directory / "embeddings.safetensors")
    return {
        **CLIP,
        "embeddings": str(directory / "embeddings.safetensors"),
        "steps": 8,
        "guidance": 7.0,
        "seed": 3,
        "checkpoint_every": 0,
        "checkpoint_dir": str(directory / "checkpoints"),
        "stop_file": str(directory / "stop"),
        "output": str(directory / "latents.safetensors"),
        **changes,
    }


async def run(inference: Inference, model: str, request: Message, stop_at: int | None = None) -> list[Message]:
    messages: list[Message] = []
    async with aclosing(inference.client.stream(model, request)) as stream:
        async for message in stream:
            messages.append(message)
            if stop_at is not None and message.get("step") == stop_at:
                Path(request["stop_file"]).touch()
    return messages


async def test_a_stopped_clip_goes_on_to_the_same_bits_and_becomes_frames(opensora: Inference) -> None:
    directory = opensora.scratch / "opensora"
    plan, *steps, whole = await run(opensora, MODELS[0], request_in(directory))
    assert (plan["frames"], plan["height"], plan["width"]) == (FRAMES, HEIGHT, WIDTH)
    assert [step["step"] for step in steps] == list(range(1, 9))

    *_, stopped = await run(opensora, MODELS[0], request_in(directory), stop_at=2)
    assert stopped["type"] == "stopped"
    assert stopped["step"] < 8
    (directory / "stop").unlink()
    resumed = request_in(
        directory, resume=stopped["checkpoints"][0]["path"], output=str(directory / "again.safetensors")
    )
    _, first, *_, result = await run(opensora, MODELS[0], resumed)
    assert first["step"] == stopped["step"] + 1
    assert result["latents"]["sha256"] == whole["latents"]["sha256"]

    decode = {**CLIP, "latents": result["latents"]["path"], "output_dir": str(directory / "frames")}
    _, *chunks, end = await run(opensora, MODELS[1], decode)
    assert [chunk["frames"] for chunk in chunks] == [17] * 7 + [1]
    assert sum(Path(chunk["path"]).stat().st_size for chunk in chunks) == FRAMES * HEIGHT * WIDTH * 3
    assert end["frames"] == FRAMES


@pytest.mark.parametrize("model", MODELS)
async def test_answers_a_probe(opensora: Inference, model: str) -> None:
    await opensora.client.probe(model)
