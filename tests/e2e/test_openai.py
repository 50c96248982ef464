"""The current `openai` client makes, fetches, remixes and deletes a real video, unchanged."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import av
import httpx
import openai
import pytest
import pytest_asyncio
from PIL import Image

from tests.support.mesh import RunningMesh

# OpenAI has closed its own service, so its client calls its video methods deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest_asyncio.fixture(loop_scope="session")
async def client(mesh: RunningMesh) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client of a user, with a token as its key."""
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    url = f"{mesh.url}/openai/v1"
    async with openai.AsyncOpenAI(api_key=mesh.token("openai"), base_url=url, http_client=http) as client:
        yield client


async def test_a_video_from_order_to_deletion(mesh: RunningMesh, client: openai.AsyncOpenAI) -> None:
    few_steps = {"num_inference_steps": 4, "seed": 7}
    video = await client.videos.create_and_poll(
        prompt="a red ball bouncing on green grass",
        model="realtime",
        seconds="5",  # type: ignore[arg-type]
        size="480x854",  # type: ignore[arg-type]
        extra_body=few_steps,
    )
    assert (video.status, video.progress, video.size, video.seconds) == ("completed", 100, "480x854", "5")
    assert video.completed_at is not None
    assert video.completed_at >= video.created_at
    await _check_content(client, video.id)
    remix = await client.videos.remix(video.id, prompt="a blue ball bouncing on green grass")
    assert (remix.remixed_from_video_id, remix.size, remix.seconds) == (video.id, "480x854", "5")
    assert [listed.id async for listed in client.videos.list(limit=1)] == [remix.id, video.id]
    for video_id in (remix.id, video.id):
        assert (await client.videos.delete(video_id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.videos.retrieve(video_id)
    assert not (await client.videos.list()).data
    rows = await mesh.rows("SELECT status, text_prompt FROM orchestrator.video_generations WHERE user_id = 'openai'")
    assert {(row["status"], row["text_prompt"]) for row in rows} == {("COMPLETED", ""), ("CANCELLED", "")}


async def _check_content(client: openai.AsyncOpenAI, video_id: str) -> None:
    content = (await client.videos.download_content(video_id)).content
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (480, 854)
        assert container.streams.audio
    headers = {"range": "bytes=4-7"}
    part = await client.videos.download_content(video_id, extra_headers=headers)
    assert (part.response.status_code, part.content) == (206, b"ftyp")
    for variant in ("thumbnail", "spritesheet"):
        picture = await client.videos.download_content(video_id, variant=variant)
        assert Image.open(io.BytesIO(picture.content)).format == "JPEG"


async def test_what_is_refused(mesh: RunningMesh, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as unknown_model:
        await client.videos.create(prompt="a lake", model="no-such-model")
    assert (unknown_model.value.code, unknown_model.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as unknown_field:
        await client.videos.create(prompt="a lake", extra_body={"no_such_field": "1"})
    assert (unknown_field.value.code, unknown_field.value.param) == ("unknown_parameter", "no_such_field")
    with pytest.raises(openai.BadRequestError) as too_long:
        await client.videos.create(prompt="a lake", seconds="61")  # type: ignore[arg-type]
    assert (too_long.value.code, too_long.value.param) == ("invalid_value", "seconds")
    async with httpx.AsyncClient(trust_env=False) as http:
        anonymous = await http.get(f"{mesh.url}/openai/v1/videos")
    assert anonymous.json()["error"]["code"] == "invalid_api_key"
