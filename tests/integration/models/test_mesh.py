"""The models of others from a prompt to the delivered file, killed in the middle and resumed to the same frames."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import av
import httpx
import numpy as np
import pytest

from tests.chaos.rounds import hash_frames
from tests.integration.models.conftest import ModelsMesh

STEPS = 8
"""A checkpoint is written every second step."""

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Made:
    """What became of one request."""

    latents: str
    """sha256 of the final latents, the sound's among them."""
    frames: str
    """sha256 over the pixels."""
    sound: str | None
    """sha256 of the WAV file."""
    mp4: bytes


async def make(mesh: ModelsMesh, model: str, *, sound: bool, killed: bool) -> Made:
    """Has the same clip made once more."""
    async with mesh.user() as ada:
        if killed:
            mesh.arm()
        video = await ada.accepted(model=model, num_inference_steps=STEPS, enable_audio=sound)
        if killed:
            await mesh.kill_worker()
        body = await ada.completed(video, within_s=400)
    (row,) = await mesh.rows("SELECT artifacts FROM orchestrator.video_generations WHERE request_id = $1", video)
    artifacts = json.loads(row["artifacts"])
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        mp4 = (await http.get(body["output"]["video_url"])).raise_for_status().content
    audio = artifacts.get("audio")
    return Made(
        latents=artifacts["latents"]["sha256"],
        frames=hash_frames(mesh.object(artifacts["mezzanine"]["uri"])),
        sound=audio and audio["sha256"],
        mp4=mp4,
    )


async def assert_survives_a_kill(mesh: ModelsMesh, model: str, *, sound: bool) -> bytes:
    """Fails unless the killed clip is the undisturbed one; returns the delivered file."""
    whole = await make(mesh, model, sound=sound, killed=False)
    resumed_before = len(mesh.resumed_steps())
    resumed = await make(mesh, model, sound=sound, killed=True)
    assert mesh.resumed_steps()[resumed_before:] in ([2], [4], [6])
    assert (resumed.latents, resumed.frames, resumed.sound) == (whole.latents, whole.frames, whole.sound)
    with av.open(io.BytesIO(resumed.mp4), "r") as container:
        assert len(list(container.decode(video=0))) == 5 * 24
    return resumed.mp4


async def test_wan_is_killed_and_resumed(models_mesh: ModelsMesh) -> None:
    """Its solver remembers the last steps, and its memory is resumed too."""
    await assert_survives_a_kill(models_mesh, "wan", sound=False)


@pytest.mark.long
async def test_mochi_is_killed_and_resumed(models_mesh: ModelsMesh) -> None:
    await assert_survives_a_kill(models_mesh, "mochi1", sound=False)


@pytest.mark.long
async def test_ltx2_is_killed_and_resumed_with_its_sound(models_mesh: ModelsMesh) -> None:
    mp4 = await assert_survives_a_kill(models_mesh, "ltx2", sound=True)
    with av.open(io.BytesIO(mp4), "r") as container:
        audio = container.streams.audio[0]
        blocks = [frame.to_ndarray() for frame in container.decode(audio)]
    seconds = sum(block.shape[-1] for block in blocks) / audio.codec_context.sample_rate
    assert seconds == pytest.approx(5, abs=1 / 24)
    assert np.abs(np.concatenate(blocks, axis=-1)).max() > 0.01


@pytest.mark.long
async def test_opensora_is_killed_and_resumed(models_mesh: ModelsMesh) -> None:
    """In whole batches of 17 frames, of which more are made than delivered."""
    await assert_survives_a_kill(models_mesh, "opensora", sound=False)


@pytest.mark.long
async def test_models_without_sound_refuse_it(models_mesh: ModelsMesh) -> None:
    async with models_mesh.user() as ada:
        for model in ("mochi1", "opensora", "wan"):
            answer = await ada.create(model=model, enable_audio=True)
            assert answer.status == 400, answer
