"""Videos that begin with a picture or are made after another video, from REST to the delivered frames."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from numpy.typing import NDArray
from PIL import Image

from tests.support.mesh import RunningMesh, User
from tests.support.pictures import encoded, scene, write_video
from tests.support.watchers import watch_sse

WIDE = scene(854, 480)
"""Of the delivered size."""
PLAIN = {"enable_audio": False, "guidance_scale": 3}


async def frames_of(body: dict[str, dict[str, str]]) -> NDArray[np.uint8]:
    async with httpx.AsyncClient(trust_env=False) as http:
        mp4 = (await http.get(body["output"]["video_url"])).raise_for_status().content
    with av.open(io.BytesIO(mp4), "r") as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean over pixels and colours, levels of 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@asynccontextmanager
async def serving(file: Path) -> AsyncIterator[str]:
    """An address on loopback that has the file."""

    async def answer(_: web.Request) -> web.FileResponse:
        return web.FileResponse(file)

    app = web.Application()
    app.router.add_get("/video.mp4", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/video.mp4"))


async def test_a_video_begins_with_the_picture_and_shows_previews(mesh: RunningMesh, user: User) -> None:
    picture = encoded(WIDE, "JPEG", quality=95)
    video = await user.accepted(
        first_frame_image=base64.b64encode(picture).decode(), style_preset="night", enable_audio=False
    )
    events = await watch_sse(user, video)
    body = await user.completed(video)
    assert body["settings"]["has_first_frame"] is True
    assert body["settings"]["style_preset"] == "night"
    assert body["prompt"] == "a red ball bouncing on green grass"
    first = (await frames_of(body))[0]
    assert difference(first, WIDE) < 6
    previews = [event["data"]["preview"] for event in events if "preview" in event["data"]]
    assert previews
    for preview in previews:
        jpeg = base64.b64decode(preview.removeprefix("data:image/jpeg;base64,"))
        assert Image.open(io.BytesIO(jpeg)).size == (224, 128)
    (row,) = await mesh.rows("SELECT artifacts FROM orchestrator.video_generations WHERE request_id = $1", video)
    assert "preview" not in row["artifacts"]


async def test_the_largest_picture_passes_the_gateway(user: User) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1800, 1900, 3), np.uint8)
    picture = base64.b64encode(encoded(noise)).decode()
    video = await user.accepted(first_frame_image=picture)
    assert (await user.call("DELETE", f"/v1/videos/{video}")).status == 200


async def test_a_video_is_made_after_another_as_near_as_was_asked(user: User, tmp_path: Path) -> None:
    moving = np.stack([np.roll(scene(224, 128), 2 * index, 1) for index in range(60)])
    async with serving(write_video(tmp_path / "walk.mp4", moving, rate=12)) as url:
        near, far = [
            await user.accepted(reference_video=url, reference_strength=strength, num_inference_steps=8, **PLAIN)
            for strength in (0.3, 1.0)
        ]
        bodies = [await user.completed(video) for video in (near, far)]
    truth = np.stack([np.asarray(Image.fromarray(frame).resize((854, 480))) for frame in moving[:60:6]])
    # Twelve frames a second are delivered as twenty-four.
    distances = [difference((await frames_of(body))[::12][: len(truth)], truth) for body in bodies]
    assert 2 * distances[0] < distances[1], distances
    assert bodies[0]["settings"]["reference_strength"] == pytest.approx(0.3)


async def test_a_reference_that_is_no_video_fails_its_job_and_gives_the_credits_back(
    user: User, tmp_path: Path
) -> None:
    (tmp_path / "video.mp4").write_text("#EXTM3U\nhttp://127.0.0.1/secret\n")
    async with serving(tmp_path / "video.mp4") as url:
        body = await user.ended(await user.accepted(reference_video=url))
    assert body["status"] == "FAILED"
    assert body["error"]["code"] == "REFERENCE_VIDEO_UNUSABLE"
    assert "neither MP4" in body["error"]["message"]
    assert (body["credits_used"], body["refunded_credits"]) == (0, pytest.approx(0.375))
