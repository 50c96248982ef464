"""The fakes speak as the providers do: each provider's official client says so."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
import runwayml

from tests.support.providers.fake import KEY, busy, serving
from tests.support.providers.openai import FakeOpenAI
from tests.support.providers.runway import FakeRunway
from tests.support.providers.veo import LOCATION, MODEL, PROJECT, FakeVeo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from google import genai
    from google.genai import types
    from google.oauth2.credentials import Credentials

# OpenAI's client calls its own videos deprecated; the shape lives on in other engines.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

VIDEO = b"as good as a video"


@pytest_asyncio.fixture(loop_scope="session")
async def openai_fake() -> AsyncIterator[FakeOpenAI]:
    async with serving(FakeOpenAI(video=VIDEO)) as fake:
        assert isinstance(fake, FakeOpenAI)
        yield fake


@pytest_asyncio.fixture(loop_scope="session")
async def runway_fake() -> AsyncIterator[FakeRunway]:
    async with serving(FakeRunway(video=VIDEO)) as fake:
        assert isinstance(fake, FakeRunway)
        yield fake


@pytest_asyncio.fixture(loop_scope="session")
async def veo_fake() -> AsyncIterator[FakeVeo]:
    async with serving(FakeVeo(video=VIDEO)) as fake:
        assert isinstance(fake, FakeVeo)
        yield fake


def openai_client(fake: FakeOpenAI, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"{fake.url}/v1", max_retries=2)


async def test_openai_makes_and_downloads_a_video_after_a_busy_moment(openai_fake: FakeOpenAI) -> None:
    openai_fake.in_the_way.append(busy)
    async with openai_client(openai_fake) as client:
        video = await client.videos.create(model="sora-2", prompt="a lake", seconds="8", size="1280x720")
        assert (video.status, video.seconds, video.size) == ("queued", "8", "1280x720")
        while video.status in {"queued", "in_progress"}:
            video = await client.videos.retrieve(video.id)
        assert (video.status, video.progress) == ("completed", 100)
        assert (await client.videos.download_content(video.id)).content == VIDEO
        assert (await client.videos.delete(video.id)).deleted


async def test_openai_reports_a_failure_a_refusal_and_a_wrong_key(openai_fake: FakeOpenAI) -> None:
    openai_fake.outcome, openai_fake.looks_needed = "failure", 1
    async with openai_client(openai_fake) as client:
        video = await client.videos.create(prompt="a lake", size="1280x720")
        failed = await client.videos.retrieve(video.id)
        assert failed.error is not None
        assert (failed.status, failed.error.code) == ("failed", "server_error")
        openai_fake.outcome = "refusal"
        with pytest.raises(openai.BadRequestError) as refused:
            await client.videos.create(prompt="a lake", size="1280x720")
        assert refused.value.code == "content_policy_violation"
    async with openai_client(openai_fake, "wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.videos.create(prompt="a lake")


def runway_client(fake: FakeRunway, key: str = KEY) -> runwayml.AsyncRunwayML:
    return runwayml.AsyncRunwayML(api_key=key, base_url=fake.url)


async def test_runway_makes_and_cancels_a_task_after_a_busy_moment(runway_fake: FakeRunway) -> None:
    runway_fake.in_the_way.append(busy)
    async with runway_client(runway_fake) as client:
        task: Any = await client.text_to_video.create(
            model="gen4.5", prompt_text="a lake", ratio="1280:720", duration=5
        )
        assert task.estimated_cost.credits == 60
        running = await client.tasks.retrieve(task.id)
        assert (running.status, running.progress) == ("RUNNING", 0.4)  # type: ignore[union-attr]
        done = await client.tasks.retrieve(task.id)
        assert done.status == "SUCCEEDED"
        assert (len(done.output), done.cost.credits) == (1, 60)
        picture = "data:image/png;base64,iVBORw0KGgo="
        begun: Any = await client.image_to_video.create(
            model="gen4.5",
            prompt_image=[{"uri": picture, "position": "first"}],
            prompt_text="a lake",
            ratio="1280:720",
            duration=5,
        )
        assert (await client.tasks.retrieve(begun.id)).status == "RUNNING"
        await client.tasks.delete(task.id)
        assert (await client.tasks.retrieve(task.id)).status == "CANCELLED"


async def test_runway_reports_a_failure_a_refusal_and_a_wrong_key(runway_fake: FakeRunway) -> None:
    runway_fake.looks_needed = 1
    async with runway_client(runway_fake) as client:
        for outcome, code in (("failure", "INTERNAL.BAD_OUTPUT.CODE01"), ("refusal", "SAFETY.INPUT.TEXT")):
            runway_fake.outcome = outcome  # type: ignore[assignment]
            task = await client.text_to_video.create(
                model="gen4.5", prompt_text="a lake", ratio="720:1280", duration=10
            )
            failed = await client.tasks.retrieve(task.id)
            assert failed.status == "FAILED"
            assert (failed.failure_code, failed.cost.credits) == (code, 3)
    async with runway_client(runway_fake, "wrong") as client:
        with pytest.raises(runwayml.AuthenticationError):
            await client.tasks.retrieve("17eecf1d-7b9a-4b0e-a8ae-0a1b2c3d4e5f")


def veo_client(fake: FakeVeo, key: str = KEY) -> genai.Client:
    options = types.HttpOptions(base_url=fake.url)
    credentials = Credentials(token=key)  # type: ignore[no-untyped-call]
    return genai.Client(
        vertexai=True, project=PROJECT, location=LOCATION, credentials=credentials, http_options=options
    )


async def begin(client: genai.Client) -> types.GenerateVideosOperation:
    config = types.GenerateVideosConfig(
        duration_seconds=8, aspect_ratio="16:9", resolution="1080p", seed=7, negative_prompt="rain", generate_audio=True
    )
    source = types.GenerateVideosSource(prompt="a lake")
    return await client.aio.models.generate_videos(model=MODEL, source=source, config=config)


async def test_veo_makes_a_video_and_is_told_everything(veo_fake: FakeVeo) -> None:
    client = veo_client(veo_fake)
    operation = await client.aio.operations.get(await begin(client))
    assert not operation.done
    operation = await client.aio.operations.get(operation)
    assert operation.done and operation.response and operation.response.generated_videos
    video = operation.response.generated_videos[0].video
    assert video and (video.video_bytes, video.mime_type) == (VIDEO, "video/mp4")
    (made,) = veo_fake.operations.values()
    assert made.order["instances"] == [{"prompt": "a lake"}]
    assert made.order["parameters"]["negativePrompt"] == "rain"
    await client.aio.aclose()


async def test_veo_reports_a_failure_a_refusal_and_a_wrong_key(veo_fake: FakeVeo) -> None:
    veo_fake.looks_needed, client = 1, veo_client(veo_fake)
    veo_fake.outcome = "failure"
    failed = await client.aio.operations.get(await begin(client))
    assert failed.done and failed.error and failed.error["code"] == 13
    veo_fake.outcome = "refusal"
    refused = await client.aio.operations.get(await begin(client))
    assert refused.response and refused.response.rai_media_filtered_count == 1
    await client.aio.aclose()
    stranger = veo_client(veo_fake, "wrong")
    with pytest.raises(genai.errors.ClientError):
        await begin(stranger)
    await stranger.aio.aclose()
