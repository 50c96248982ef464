"""The `dit` model on the real Triton: steps, cancellation, checkpoints, resumption, a killed process."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

from services.worker.errors import ModelBrokenError, ModelFailedError
from services.worker.triton import Message
from tests.support.inference import Inference, kill_stub

pytestmark = pytest.mark.integration


@pytest.fixture
def directory(inference: Inference, request: pytest.FixtureRequest) -> Path:
    path = inference.scratch / str(request.node.name)
    path.mkdir()
    return path


def request_in(inference: Inference, directory: Path, **changes: Any) -> Message:
    embeddings = directory / "embeddings.safetensors"
    if not embeddings.exists():
        inference.write_embeddings(embeddings)
    return {
        "tier": "STANDARD",
        "aspect_ratio": "1:1",
        "duration_s": 1,
        "embeddings": str(embeddings),
        "steps": 6,
        "guidance": 3.0,
        "seed": 7,
        "checkpoint_every": 2,
        "checkpoint_dir": str(directory / "checkpoints"),
        "stop_file": str(directory / "stop"),
        "output": str(directory / "latents.safetensors"),
        **changes,
    }


async def run(inference: Inference, request: Message) -> list[Message]:
    async with aclosing(inference.client.stream("dit", request)) as messages:
        return [message async for message in messages]


def checkpoints_of(messages: list[Message]) -> list[dict[str, Any]]:
    return [written for message in messages for written in message.get("checkpoints", ())]


async def test_answers_the_plan_then_every_step_then_the_latents(inference: Inference, directory: Path) -> None:
    plan, *steps, result = await run(inference, request_in(inference, directory))
    assert (plan["type"], plan["frames"], plan["fps"]) == ("plan", inference.config.fps, inference.config.fps)
    assert [(step["step"], step["total"]) for step in steps] == [(number, 6) for number in range(1, 7)]
    assert steps[-1]["sigma"] == 0
    assert all(step["step_time_ms"] > 0 for step in steps)
    latents = result["latents"]
    assert latents["sha256"] == hashlib.sha256(Path(latents["path"]).read_bytes()).hexdigest()
    assert [written["step"] for written in checkpoints_of([*steps, result])] == [2, 4]


async def test_every_checkpoint_resumes_to_the_same_bits(inference: Inference, directory: Path) -> None:
    whole = await run(inference, request_in(inference, directory, checkpoint_every=1))
    for written in checkpoints_of(whole):
        _, *steps, result = await run(inference, request_in(inference, directory, resume=written["path"]))
        assert steps[0]["step"] == written["step"] + 1
        assert result["latents"]["sha256"] == whole[-1]["latents"]["sha256"]


async def test_steps_guidance_seed_and_negative_prompt_have_their_effect(inference: Inference, directory: Path) -> None:
    negative = inference.write_embeddings(directory / "negative.safetensors", negative=True)
    variants: list[dict[str, Any]] = [
        {},
        {"steps": 5},
        {"guidance": 5.0},
        {"guidance": 1.0},
        {"seed": 8},
        {"embeddings": str(negative)},
    ]
    digests = [
        (await run(inference, request_in(inference, directory, **variant)))[-1]["latents"]["sha256"]
        for variant in variants
    ]
    assert len(set(digests)) == len(variants)


def latent_of(inference: Inference, reference: Path) -> NDArray[np.float32]:
    """What the model makes of a reference of less than a second, whose last frame is held."""
    from triton_models.modeling.pipeline import encode_clip, plan_generation
    from triton_models.modeling.reference import load_reference

    model, frames = load_reference(inference.weights), load_file(reference)["frames"]
    plan = plan_generation(model.config, tier="STANDARD", aspect_ratio="1:1", duration_s=1)
    held = np.repeat(frames[-1:], plan.shape.frames - len(frames), 0)
    return encode_clip(model, plan, np.concatenate((frames, held))).numpy()


async def test_a_clip_begins_with_a_picture_and_is_made_after_a_video(inference: Inference, directory: Path) -> None:
    rng = np.random.default_rng(0)
    picture, reference = directory / "picture.safetensors", directory / "reference.safetensors"
    save_file({"picture": rng.integers(0, 256, (60, 90, 3), np.uint8)}, picture)
    save_file({"frames": rng.integers(0, 256, (7, 80, 80, 3), np.uint8)}, reference)
    given = {"first_frame": str(picture), "reference": str(reference), "checkpoint_every": 1}

    async def latent(strength: float, output: str, **changes: Any) -> tuple[list[Message], NDArray[np.float32]]:
        path = str(directory / output)
        messages = await run(
            inference, request_in(inference, directory, **given, strength=strength, output=path, **changes)
        )
        return messages, load_file(path)["latent"]

    _, near = await latent(0.2, "near")
    _, far = await latent(0.9, "far")
    # The first frame is the picture's, whatever became of the others.
    assert np.array_equal(near[:, 0], far[:, 0])
    half, middle = await latent(0.5, "middle")
    assert [(step["step"], step["total"]) for step in half[1:-1]] == [(1, 3), (2, 3), (3, 3)]
    source = latent_of(inference, reference)
    distances = [float(np.abs(made - source)[:, 1:].mean()) for made in (near, middle, far)]
    assert distances == sorted(distances)
    assert len(set(distances)) == 3
    for written in checkpoints_of(half):
        _, resumed = await latent(0.5, "resumed", resume=written["path"])
        assert np.array_equal(resumed, middle)
    with pytest.raises(ModelFailedError, match=r"CHECKPOINT_REFUSED.*another request"):
        await latent(0.9, "refused", resume=written["path"])


async def test_a_preview_comes_every_few_steps(inference: Inference, directory: Path) -> None:
    _, *steps, _ = await run(inference, request_in(inference, directory, preview_every=2))
    assert [step["step"] for step in steps if "preview" in step] == [2, 4]
    jpeg = base64.b64decode(steps[1]["preview"])
    assert len(jpeg) < 20_000
    assert Image.open(io.BytesIO(jpeg)).size == (220, 220)
    _, *silent, _ = await run(inference, request_in(inference, directory))
    assert not any("preview" in step for step in silent)


async def test_stops_at_the_next_step_with_a_checkpoint_when_the_stop_file_appears(
    inference: Inference, directory: Path
) -> None:
    request = request_in(inference, directory, steps=100, checkpoint_every=0)
    messages: list[Message] = []
    async with aclosing(inference.client.stream("dit", request)) as stream:
        async for message in stream:
            messages.append(message)
            if message["type"] == "step":
                (directory / "stop").touch()
    stopped = messages[-1]
    assert stopped["type"] == "stopped"
    assert stopped["step"] < 100
    assert [written["step"] for written in stopped["checkpoints"]] == [stopped["step"]]


async def test_a_cancelled_request_frees_the_model(inference: Inference, directory: Path) -> None:
    request = request_in(inference, directory, steps=100)
    async with aclosing(inference.client.stream("dit", request)) as stream:
        async for message in stream:
            if message.get("step") == 3:
                break
    # Requests are answered one after the other: an answer means that the cancelled one is over.
    await inference.client.probe("dit")
    assert not Path(request["output"]).exists()


async def test_refuses_a_damaged_and_a_foreign_checkpoint(inference: Inference, directory: Path) -> None:
    written = checkpoints_of(await run(inference, request_in(inference, directory)))[0]
    with pytest.raises(ModelFailedError, match=r"CHECKPOINT_REFUSED.*another request"):
        await run(inference, request_in(inference, directory, seed=8, resume=written["path"]))
    path = Path(written["path"])
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)
    with pytest.raises(ModelFailedError, match=r"CHECKPOINT_REFUSED.*damaged"):
        await run(inference, request_in(inference, directory, resume=written["path"]))


async def test_refuses_a_checkpoint_of_another_engine(inference: Inference, directory: Path) -> None:
    """Its frames would not be those of an undisturbed run; older checkpoints of it are refused likewise."""
    written = checkpoints_of(await run(inference, request_in(inference, directory)))[0]
    assert len(written["engine_hash"]) == 64
    manifest = Path(written["path"]).with_suffix(".json")
    manifest.write_text(manifest.read_text().replace(written["engine_hash"], "0" * 64))
    with pytest.raises(ModelFailedError, match=r"CHECKPOINT_REFUSED.*another engine"):
        await run(inference, request_in(inference, directory, resume=written["path"]))


@pytest.mark.parametrize(
    "field", ["embeddings", "first_frame", "reference", "output", "checkpoint_dir", "stop_file", "resume"]
)
async def test_refuses_paths_outside_the_scratch_directory(
    inference: Inference, directory: Path, tmp_path: Path, field: str
) -> None:
    (directory / "link").symlink_to(tmp_path)
    for path in (tmp_path / "x", directory / ".." / ".." / "x", directory / "link" / "x"):
        with pytest.raises(ModelFailedError, match=f"INVALID_REQUEST: {field}"):
            await run(inference, request_in(inference, directory, **{field: str(path)}))
    assert not list(tmp_path.iterdir())


async def test_a_bad_request_fails_alone(inference: Inference, directory: Path) -> None:
    bad = run(inference, request_in(inference, directory, steps=0))
    good = run(inference, request_in(inference, directory, steps=1))
    failed, messages = await asyncio.gather(bad, good, return_exceptions=True)
    assert isinstance(failed, ModelFailedError)
    assert not failed.retriable
    assert isinstance(messages, list)
    assert messages[-1]["type"] == "result"


async def test_a_full_disk_costs_checkpoints_and_not_the_job(inference: Inference, directory: Path) -> None:
    (directory / "checkpoints").write_text("a file where a directory is needed fails as a full disk does")
    messages = await run(inference, request_in(inference, directory))
    assert messages[-1]["type"] == "result"
    assert not checkpoints_of(messages)


async def test_a_killed_process_is_found_and_replaced(inference: Inference, directory: Path) -> None:
    kill_stub(inference.address, "dit")
    with pytest.raises(ModelBrokenError):
        await inference.client.probe("dit")
    await inference.client.reload("dit")
    assert (await run(inference, request_in(inference, directory, steps=1)))[-1]["type"] == "result"
    shutil.rmtree(directory)
