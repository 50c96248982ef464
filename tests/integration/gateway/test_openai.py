"""The current `openai` client, unchanged, and raw HTTP, against the routes in OpenAI's shape."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import pytest_asyncio
from PIL import Image

from kinemesh.video.v1.video_service_pb2 import VideoError, VideoOutput, VideoProgress, VideoSettings
from tests.integration.gateway.conftest import MAX_BODY_BYTES, Gateway
from tests.integration.gateway.media import JPEG, object_store, write_mp4
from tests.integration.gateway.services import KNOWN_ID, known_video

# OpenAI has closed its own service, so its client calls its video methods deprecated.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

VIDEOS = "/openai/v1/videos"
ONE_PIXEL = b"\x89PNG one pixel"


@pytest_asyncio.fixture(loop_scope="session")
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """The client, with a token as its key."""
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    key, url = gateway.token("openai"), f"{gateway.url}/openai/v1"
    async with openai.AsyncOpenAI(api_key=key, base_url=url, http_client=http, max_retries=0) as client:
        gateway.videos.known = known_video()
        yield client
        gateway.videos.known = known_video()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stored(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, bytes]]:
    """An object store and the video in it."""
    directory = tmp_path_factory.mktemp("media")
    video = write_mp4(directory / "video.mp4")
    Path(directory, "thumbnail.jpg").write_bytes(JPEG)
    async with object_store(directory) as url:
        yield url, video


@pytest.fixture
def watched(gateway: Gateway, client: openai.AsyncOpenAI, stored: tuple[str, bytes]) -> bytes:
    """The known video has files; returns the MP4."""
    url, video = stored
    address = f"{url}/media/video.mp4?signature=1"
    thumbnail = f"{url}/media/thumbnail.jpg?signature=1"
    gateway.videos.known = known_video(output=VideoOutput(video_url=address, thumbnail_url=thumbnail))
    return video


async def test_create_by_the_client_is_a_form_and_becomes_an_order(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    reference = ("first.png", ONE_PIXEL, "image/png")
    extra = {"seed": 7, "enable_audio": False, "negative_prompt": "007"}
    video = await client.videos.create(
        prompt="a lake", model="sora-2", seconds="8", size="1280x720", input_reference=reference, extra_body=extra
    )
    assert json.loads(gateway.videos.body) == {
        "prompt": "a lake",
        "model": "standard",
        "duration_seconds": 8,
        "resolution": "720P",
        "aspect_ratio": "16:9",
        "first_frame_image": base64.b64encode(ONE_PIXEL).decode(),
        "seed": 7,
        "enable_audio": False,
        "negative_prompt": "007",
    }
    assert gateway.videos.metadata["x-user-id"] == "openai"
    assert (video.id, video.object, video.status, video.progress) == (KNOWN_ID, "video", "completed", 100)
    assert (video.model, video.seconds, video.size) == ("reference", "10", "720x1280")
    assert (video.created_at, video.completed_at, video.error) == (1_769_596_200, 1_769_596_245, None)


async def test_what_openai_has_and_this_has_not_is_told_by_name(client: openai.AsyncOpenAI) -> None:
    asked = {
        "edits": client.videos.edit(prompt="x", video=ONE_PIXEL),
        "extensions": client.videos.extend(prompt="x", seconds="4", video=ONE_PIXEL),
        "characters": client.videos.get_character("char_1"),
    }
    for name, call in asked.items():
        with pytest.raises(openai.NotFoundError) as refused:
            await call
        assert (refused.value.code, refused.value.type) == ("route_not_found", "invalid_request_error")
        assert refused.value.body["message"] == f"{name} are not offered here"  # type: ignore[index]


async def test_every_way_of_the_client_to_ask_reads_the_answer(client: openai.AsyncOpenAI) -> None:
    raw = await client.videos.with_raw_response.create(prompt="x")
    async with client.videos.with_streaming_response.retrieve(KNOWN_ID) as streamed:
        answers = [raw.parse(), await streamed.parse(), await client.videos.remix(KNOWN_ID, prompt="x")]
    assert [(video.id, video.object) for video in answers] == [(KNOWN_ID, "video")] * 3
    page = await client.videos.list(after="video-3", limit=0, order="asc")
    assert page.data == []
    assert (await client.videos.delete(KNOWN_ID)).deleted


async def test_create_by_json_takes_openais_defaults(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.post(VIDEOS, json={"prompt": "a lake"}, headers=gateway.headers())
    assert response.status_code == 200
    assert json.loads(gateway.videos.body) == {
        "prompt": "a lake",
        "duration_seconds": 5,
        "resolution": "720P",
        "aspect_ratio": "9:16",
        "enable_audio": True,
    }


async def test_an_image_may_come_as_a_data_url(gateway: Gateway, http: httpx.AsyncClient) -> None:
    url = f"data:image/png;base64,{base64.b64encode(ONE_PIXEL).decode()}"
    sent = {"prompt": "x", "input_reference": {"image_url": url}}
    await http.post(VIDEOS, json=sent, headers=gateway.headers())
    assert json.loads(gateway.videos.body)["first_frame_image"] == url.partition(",")[2]
    form = {"prompt": (None, "x"), "input_reference[image_url]": (None, url)}
    await http.post(VIDEOS, files=form, headers=gateway.headers())
    assert json.loads(gateway.videos.body)["first_frame_image"] == url.partition(",")[2]


async def test_the_idempotency_key_of_any_form_becomes_one_uuid(gateway: Gateway, http: httpx.AsyncClient) -> None:
    seen = []
    for key in ("order 66", "order 66", "order 67"):
        await http.post(VIDEOS, json={"prompt": "x"}, headers={**gateway.headers(), "idempotency-key": key})
        seen.append(gateway.videos.created_with["x-request-id"])
    assert seen[0] == seen[1] != seen[2]


async def test_poll_follows_the_servers_pace(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    gateway.videos.known = known_video(
        status="GENERATING", progress=VideoProgress(percent_complete=40, estimated_remaining_seconds=60)
    )
    raw = await client.videos.with_raw_response.retrieve(KNOWN_ID)
    assert raw.headers["openai-poll-after-ms"] == "3000"
    video = raw.parse()
    assert (video.status, video.progress, video.completed_at) == ("in_progress", 40, None)
    gateway.videos.known = known_video()
    assert (await client.videos.poll(KNOWN_ID)).status == "completed"
    final = await client.videos.with_raw_response.retrieve(KNOWN_ID)
    assert "openai-poll-after-ms" not in final.headers


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        ("PENDING", "queued", None),
        ("QUEUED", "queued", None),
        ("UPLOADING", "in_progress", None),
        ("FAILED", "failed", "generation_timeout"),
        ("CANCELLED", "failed", "cancelled"),
        ("BLOCKED", "failed", "content_policy_violation"),
    ],
)
async def test_statuses(gateway: Gateway, client: openai.AsyncOpenAI, status: str, said: str, code: str | None) -> None:
    error = VideoError(code="GENERATION_TIMEOUT", message="took too long") if status == "FAILED" else None
    gateway.videos.known = known_video(status=status, error=error)
    video = await client.videos.retrieve(KNOWN_ID)
    assert video.status == said
    assert (video.error.code if video.error else None) == code


async def test_lists_are_followed_by_cursor(client: openai.AsyncOpenAI) -> None:
    ids = [video.id async for video in client.videos.list(limit=2)]
    assert ids == ["video-4", "video-3", "video-2", "video-1", "video-0"]
    ascending = await client.videos.list(order="asc", limit=3)
    assert [video.id for video in ascending.data] == ["video-0", "video-1", "video-2"]
    assert ascending.has_more
    for page in (await client.videos.list(after="unknown"), await client.videos.list(limit=0)):
        assert (page.data, page.has_more) == ([], False)


async def test_delete(client: openai.AsyncOpenAI) -> None:
    deleted = await client.videos.delete(KNOWN_ID)
    assert (deleted.id, deleted.object, deleted.deleted) == (KNOWN_ID, "video.deleted", True)


async def test_remix_keeps_all_but_the_prompt(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    await client.videos.remix(KNOWN_ID, prompt="a lake in winter")
    assert json.loads(gateway.videos.body) == {
        "prompt": "a lake in winter",
        "remix_of": KNOWN_ID,
        "model": "REFERENCE",
        "tier": "STANDARD",
        "seed": 42,
        "enable_audio": True,
        "audio_config": {"include_ambient": True, "include_music": False, "include_speech": False},
        "negative_prompt": "",
        "duration_seconds": 10,
        "resolution": "720P",
        "aspect_ratio": "9:16",
        "fps": 24,
        "num_inference_steps": 8,
        "guidance_scale": 4.5,
        "style_preset": "night",
        "reference_video": "https://media.example.com/walk.mp4",
        "reference_strength": 0.5,
    }


async def test_a_video_whose_picture_is_not_kept_cannot_be_remixed(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    gateway.videos.known = known_video(settings=VideoSettings(has_first_frame=True))
    with pytest.raises(openai.BadRequestError, match="first frame"):
        await client.videos.remix(KNOWN_ID, prompt="a lake in winter")


async def test_content(client: openai.AsyncOpenAI, watched: bytes) -> None:
    content = await client.videos.download_content(KNOWN_ID)
    assert content.response.headers["content-type"] == "video/mp4"
    assert content.content == watched
    thumbnail = await client.videos.download_content(KNOWN_ID, variant="thumbnail")
    assert thumbnail.content == JPEG
    sheet = await client.videos.download_content(KNOWN_ID, variant="spritesheet")
    picture = np.asarray(Image.open(io.BytesIO(sheet.content)).convert("L"), dtype=int)
    assert picture.shape == (4 * 180, 4 * 320)
    corners = picture[[90, 90, 630, 630], [160, 1120, 160, 1120]]
    assert (np.diff(corners) > 0).all()
    assert corners[-1] > corners[0] + 200


async def test_content_by_range(gateway: Gateway, http: httpx.AsyncClient, watched: bytes) -> None:
    url = f"{VIDEOS}/{KNOWN_ID}/content"
    part = await http.get(url, headers={**gateway.headers(), "range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, watched[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(watched)}"
    beyond = await http.get(url, headers={**gateway.headers(), "range": "bytes=99999999-"})
    assert beyond.status_code == 416
    again = await http.get(url, headers={**gateway.headers(), "if-none-match": part.headers["etag"]})
    assert again.status_code == 304


async def test_content_that_is_not_there(
    gateway: Gateway, client: openai.AsyncOpenAI, stored: tuple[str, bytes]
) -> None:
    gateway.videos.known = known_video(status="GENERATING")
    with pytest.raises(openai.NotFoundError) as early:
        await client.videos.download_content(KNOWN_ID)
    assert early.value.code == "video_not_ready"
    gone = f"{stored[0]}/media/gone.mp4?signature=1"
    gateway.videos.known = known_video(output=VideoOutput(video_url=gone))
    with pytest.raises(openai.NotFoundError) as late:
        await client.videos.download_content(KNOWN_ID)
    assert late.value.code == "resource_not_found"
    gateway.videos.known = known_video(output=VideoOutput(video_url="http://127.0.0.1:1/media/video.mp4"))
    with pytest.raises(openai.InternalServerError) as down:
        await client.videos.download_content(KNOWN_ID)
    assert down.value.status_code == 503


@pytest.mark.parametrize(
    ("prompt", "status", "kind", "code"),
    [
        ("invalid", 400, "invalid_request_error", "invalid_value"),
        ("blocked", 400, "invalid_request_error", "content_policy_violation"),
        ("reused", 409, "invalid_request_error", "idempotency_key_reused"),
        ("large", 413, "invalid_request_error", "payload_too_large"),
        ("poor", 429, "insufficient_quota", "insufficient_quota"),
        ("many", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("broken", 500, "server_error", "internal"),
        ("down", 503, "server_error", "dependency_unavailable"),
    ],
)
async def test_refusals(client: openai.AsyncOpenAI, prompt: str, status: int, kind: str, code: str) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        await client.videos.create(prompt=prompt)
    error = refused.value
    assert (error.status_code, error.type, error.code) == (status, kind, code)
    assert error.param == ("prompt" if prompt == "invalid" else None)
    assert "secret" not in str(error.body)
    never = {"poor", "reused"}
    assert error.response.headers.get("x-should-retry") == ("false" if prompt in never else None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"size": "1x1"}, "size"),
        ({"seconds": "many"}, "seconds"),
        ({"seconds": True}, "seconds"),
        ({"resolution": "4k"}, "resolution"),
        ({"input_reference": {"file_id": "file-1"}}, "input_reference"),
        ({"input_reference": {"image_url": "https://example.com/x.png"}}, "input_reference"),
        ({"input_reference": 5}, "input_reference"),
        ({"input_reference": {"image_url": "data:image/png;base64,%%%"}}, "input_reference"),
    ],
)
async def test_a_wrong_field_is_named(
    gateway: Gateway, http: httpx.AsyncClient, fields: dict[str, object], param: str
) -> None:
    response = await http.post(VIDEOS, json={"prompt": "x", **fields}, headers=gateway.headers())
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"prompt": NaN}', b"\xff", b"[" * 100_00])
async def test_json_that_is_none(gateway: Gateway, http: httpx.AsyncClient, body: bytes) -> None:
    headers = {**gateway.headers(), "content-type": "application/json"}
    response = await http.post(VIDEOS, content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "malformed_json"


def _form(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


_PROMPT = b'Content-Disposition: form-data; name="prompt"\r\n\r\nx'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no form at all", 400),
        (_form(_PROMPT)[:-8], 400),
        (_form(b"Content-Disposition: form-data\r\n\r\nnameless"), 400),
        (_form(b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y--"), 400),
        (_form(b'Content-Disposition: form-data; name="prompt"; filename="a"\r\n\r\nx'), 400),
        (_form(b'Content-Disposition: form-data; name="prompt"\r\n\r\n\xff'), 400),
        (_form(*[_PROMPT] * 33), 413),
    ],
)
async def test_forms_that_are_none(gateway: Gateway, http: httpx.AsyncClient, body: bytes, status: int) -> None:
    headers = {**gateway.headers("forms"), "content-type": "multipart/form-data; boundary=x"}
    response = await http.post(VIDEOS, content=body, headers=headers)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("query", ["limit=101", "limit=-1", "limit=x", "order=up"])
async def test_a_wrong_query_is_named(gateway: Gateway, http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"{VIDEOS}?{query}", headers=gateway.headers())
    assert response.status_code == 400
    assert response.json()["error"]["param"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{VIDEOS}/unknown", 404),
        ("GET", f"{VIDEOS}/unknown/content", 404),
        ("DELETE", f"{VIDEOS}/unknown", 404),
        ("POST", f"{VIDEOS}/unknown/remix", 404),
        ("GET", f"{VIDEOS}/a/b/c", 404),
        ("PATCH", VIDEOS, 405),
        ("POST", f"{VIDEOS}/edits", 404),
    ],
)
async def test_what_is_not_there(
    gateway: Gateway, http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await http.request(method, path, json={"prompt": "x"}, headers=gateway.headers())
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


async def test_envoys_own_replies_have_the_same_shape(gateway: Gateway, http: httpx.AsyncClient) -> None:
    anonymous = await http.get(VIDEOS)
    assert anonymous.status_code == 401
    assert anonymous.json()["error"] == {
        "message": "Jwt is missing",
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }
    large = await http.post(VIDEOS, content=b" " * (MAX_BODY_BYTES + 1), headers=gateway.headers())
    assert large.status_code == 413
    assert large.json()["error"]["code"] == "payload_too_large"


async def test_the_callers_identity_comes_from_the_token_only(gateway: Gateway, http: httpx.AsyncClient) -> None:
    await http.get(f"{VIDEOS}/{KNOWN_ID}", headers={**gateway.headers("alice"), "x-user-id": "eve"})
    assert gateway.videos.metadata["x-user-id"] == "alice"
