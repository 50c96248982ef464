"""Input that clients get wrong or attackers try: answered 4xx with the field named, never 5xx."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import httpx
import pytest

from gateway.envoy.settings import GatewaySettings
from kinemesh.video.v1.video_service_pb2 import CreateVideoRequest, GetVideoRequest
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.support.mesh import SMALL_VIDEO, RunningMesh, User

MAX_BODY_BYTES: int = GatewaySettings.model_fields["max_body_bytes"].default
GOOD = json.dumps(dict(SMALL_VIDEO))


def with_fields(**fields: object) -> bytes:
    return json.dumps({**SMALL_VIDEO, **fields}).encode()


async def post(user: User, body: bytes) -> tuple[int, str]:
    response = await user.http.post("/v1/videos", content=body, headers={"content-type": "application/json"})
    return response.status_code, response.text


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param(with_fields(promt="x"), "promt", id="unknown field"),
        pytest.param(with_fields(prompt=""), "prompt", id="empty prompt"),
        pytest.param(with_fields(prompt=" \t\n"), "prompt", id="only white space"),
        pytest.param(with_fields(prompt="x" * 2001), "prompt", id="2001 code points"),
        pytest.param(with_fields(prompt="a\0b"), "prompt", id="NUL"),
        pytest.param(with_fields(prompt=7), "prompt", id="number for text"),
        pytest.param(GOOD.replace("a red", "\\ud800").encode(), "prompt", id="lone surrogate"),
        pytest.param(with_fields(resolution="481p"), "resolution", id="resolution"),
        pytest.param(with_fields(aspect_ratio="2:1"), "aspect_ratio", id="aspect ratio"),
        pytest.param(with_fields(fps=25), "fps", id="frame rate"),
        pytest.param(with_fields(fps=24.5), "fps", id="fraction for a whole number"),
        pytest.param(with_fields(duration_seconds=4.9), "duration_seconds", id="too short"),
        pytest.param(with_fields(duration_seconds=61), "duration_seconds", id="too long"),
        pytest.param(GOOD.replace('"seed": 7', '"seed": 1e309').encode(), "seed", id="infinity"),
        pytest.param(with_fields(seed=-1), "seed", id="negative seed"),
        pytest.param(with_fields(seed=2**64), "seed", id="huge seed"),
        pytest.param(with_fields(num_inference_steps=3), "num_inference_steps", id="too few steps"),
        pytest.param(with_fields(guidance_scale=0.5), "guidance_scale", id="guidance"),
        pytest.param(with_fields(model="mochi9"), "model", id="unknown model"),
        pytest.param(with_fields(model="veo3"), "REFERENCE", id="model that is not deployed"),
        pytest.param(with_fields(webhook_url="http://127.0.0.1/hook"), "webhook_url", id="webhook to this machine"),
        pytest.param(GOOD.replace("{", '{"prompt": "twice", ', 1).encode(), "prompt", id="duplicate key"),
    ],
)
async def test_a_bad_field_is_400_and_named(user: User, body: bytes, named: str) -> None:
    status, text = await post(user, body)
    assert status == 400, text
    assert named in text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"prompt": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"prompt": "\xc0\xaf"}', id="overlong UTF-8"),
        pytest.param('{"prompt": "x"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b"[" * 5000 + b"]" * 5000, id="5000 deep"),
        pytest.param(b"{'prompt': 'x'}", id="single quotes"),
        pytest.param(b'{"prompt": "x"} // no', id="comment"),
    ],
)
async def test_what_is_not_json_is_400(user: User, body: bytes) -> None:
    status, text = await post(user, body)
    assert status == 400, text


async def test_the_limit_counts_code_points(user: User) -> None:
    answer = await user.create(prompt="🏔" * 2000)
    assert answer.status == 202, answer
    await user.call("DELETE", f"/v1/videos/{answer.body['request_id']}")


async def test_a_body_whose_told_length_is_beyond_the_limit_is_413_before_it_is_sent(mesh: RunningMesh) -> None:
    address = httpx.URL(mesh.url)
    request = f"POST /v1/videos HTTP/1.1\r\nhost: {address.host}\r\ncontent-length: {MAX_BODY_BYTES + 1}\r\n"
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(f"{request}authorization: Bearer {mesh.token('ada')}\r\n\r\n".encode())
        status_line = await reader.readline()
        writer.close()
    assert b" 413 " in status_line


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "video", ["..%2f..%2fetc%2fpasswd", "%00", "%0d%0aX-Evil:1", "%252e%252e", "a%5cb", "x" * 6000, "not-a-uuid"]
)
async def test_a_bad_id_is_4xx(user: User, method: str, video: str) -> None:
    answer = await user.http.request(method, f"/v1/videos/{video}")
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "offset=-1", "status=DONE", "page_token=x", "unknown=1"])
async def test_a_bad_query_is_400(user: User, query: str) -> None:
    answer = await user.http.get(f"/v1/videos?{query}")
    assert answer.status_code == 400, answer.text


class TestGrpc:
    """The same through native gRPC."""

    async def code(self, mesh: RunningMesh, request: CreateVideoRequest, **options: object) -> grpc.StatusCode:
        metadata = (("authorization", f"Bearer {mesh.token('ada')}"),)
        async with grpc.aio.insecure_channel(mesh.url.removeprefix("http://")) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await VideoServiceStub(channel).CreateVideo(request, metadata=metadata, **options)  # type: ignore[arg-type]
        return error.value.code()

    async def test_a_bad_field_is_invalid_argument(self, mesh: RunningMesh) -> None:
        assert await self.code(mesh, CreateVideoRequest(prompt="")) is grpc.StatusCode.INVALID_ARGUMENT

    async def test_a_message_beyond_the_limit_is_refused(self, mesh: RunningMesh) -> None:
        request = CreateVideoRequest(prompt="x", first_frame_image=b"\0" * (25 * 2**20))
        code = await self.code(mesh, request, timeout=20)
        assert code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN}

    async def test_an_unknown_method_is_unimplemented(self, mesh: RunningMesh) -> None:
        metadata = (("authorization", f"Bearer {mesh.token('ada')}"),)
        async with grpc.aio.insecure_channel(mesh.url.removeprefix("http://")) as channel:
            call: Any = channel.unary_unary("/kinemesh.video.v1.VideoService/NoSuchMethod")
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(b"", metadata=metadata)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED

    async def test_reflection_is_off_on_the_public_listener(self, mesh: RunningMesh) -> None:
        async with grpc.aio.insecure_channel(mesh.url.removeprefix("http://")) as channel:
            call: Any = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            with pytest.raises(grpc.aio.AioRpcError):
                await call(iter([b""])).read()

    async def test_a_token_is_asked_for(self, mesh: RunningMesh) -> None:
        async with grpc.aio.insecure_channel(mesh.url.removeprefix("http://")) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await VideoServiceStub(channel).GetVideo(GetVideoRequest(request_id="x"))
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
