"""Server and channel of services.common.rpc, talking to each other over a real port."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.video.v1 import video_service_pb2 as pb
from kinemesh.video.v1 import video_service_pb2_grpc as pb_grpc
from services.common import errors
from services.common.rpc.client import error_from_rpc, open_channel
from services.common.rpc.server import RpcServer, RpcService
from services.common.telemetry.logs import REQUEST_ID

pytestmark = pytest.mark.integration

Context = grpc.aio.ServicerContext[Any, Any]


class Videos(pb_grpc.VideoServiceServicer):
    """Answers as the test says."""

    def __init__(self) -> None:
        self.on_get: Callable[[Context], Any] = lambda context: pb.GetVideoResponse()
        self.seen: list[dict[str, Any]] = []

    async def GetVideo(self, request: pb.GetVideoRequest, context: Context) -> pb.GetVideoResponse:
        self.seen.append(dict(context.invocation_metadata() or ()))
        answer = self.on_get(context)
        if asyncio.iscoroutine(answer):
            answer = await answer
        assert isinstance(answer, pb.GetVideoResponse)
        return answer

    async def WatchVideo(self, request: pb.WatchVideoRequest, context: Context) -> AsyncIterator[pb.WatchVideoResponse]:
        yield pb.WatchVideoResponse()
        self.on_get(context)
        yield pb.WatchVideoResponse()


def make_videos() -> Videos:
    return Videos()  # type: ignore[abstract] # the other methods are not called


@asynccontextmanager
async def serving(servicer: Videos, *, default_deadline_s: float = 5.0) -> AsyncIterator[str]:
    descriptor = pb.DESCRIPTOR.services_by_name["VideoService"]
    service = RpcService(descriptor, pb_grpc.add_VideoServiceServicer_to_server, servicer)
    server = RpcServer([service], default_deadline_s=default_deadline_s)
    port = await server.start("127.0.0.1:0")
    await server.set_serving()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def raiser(exc: Exception) -> Callable[[Context], Any]:
    def raise_it(context: Context) -> Any:
        raise exc

    return raise_it


async def fail_get(target: str, **kwargs: Any) -> grpc.aio.AioRpcError:
    async with open_channel(target, retry=False) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.VideoServiceStub(channel).GetVideo(pb.GetVideoRequest(), **kwargs)
    return caught.value


async def test_a_service_error_arrives_with_details_and_json_body() -> None:
    videos = make_videos()
    videos.on_get = raiser(errors.NotFound("VIDEO_NOT_FOUND", "no such video"))
    async with serving(videos) as target:
        error = await fail_get(target, metadata=(("x-request-id", "r-7"),))
    trailers = dict(error.trailing_metadata() or ())
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert trailers["x-http-code"] == "404"
    assert json.loads(trailers["x-error-json"])["request_id"] == "r-7"
    assert error_from_rpc(error).reason == "VIDEO_NOT_FOUND"


async def test_an_unknown_exception_leaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    videos = make_videos()
    videos.on_get = raiser(RuntimeError("postgresql://user:secret@host"))
    with caplog.at_level(logging.ERROR):
        async with serving(videos) as target:
            error = await fail_get(target)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error) + str(error.trailing_metadata())
    assert "secret" in caplog.text


async def test_an_error_in_the_middle_of_a_stream_arrives_after_what_was_sent() -> None:
    videos = make_videos()
    videos.on_get = raiser(errors.Unavailable("TRANSIENT_STORAGE", "later"))
    received = 0
    async with serving(videos) as target, open_channel(target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in pb_grpc.VideoServiceStub(channel).WatchVideo(pb.WatchVideoRequest()):
                received += 1
    assert received == 1
    assert error_from_rpc(caught.value).reason == "TRANSIENT_STORAGE"


async def test_request_id_and_trace_pass_on() -> None:
    videos = make_videos()
    served_in: list[int] = []

    def note_trace(context: Context) -> pb.GetVideoResponse:
        served_in.append(trace.get_current_span().get_span_context().trace_id)
        return pb.GetVideoResponse()

    videos.on_get = note_trace
    token = REQUEST_ID.set("r-8")
    try:
        async with serving(videos) as target, open_channel(target) as channel:
            with TracerProvider().get_tracer("test").start_as_current_span("caller") as span:
                await pb_grpc.VideoServiceStub(channel).GetVideo(pb.GetVideoRequest())
    finally:
        REQUEST_ID.reset(token)
    assert videos.seen[0]["x-request-id"] == "r-8"
    assert served_in == [span.get_span_context().trace_id]


async def test_unavailable_is_retried() -> None:
    videos = make_videos()
    outcomes = iter(
        [errors.Unavailable("TRANSIENT_STORAGE", "later"), errors.Unavailable("TRANSIENT_STORAGE", "later")]
    )

    def twice_down(context: Context) -> pb.GetVideoResponse:
        for error in outcomes:
            raise error
        return pb.GetVideoResponse()

    videos.on_get = twice_down
    async with serving(videos) as target, open_channel(target) as channel:
        await pb_grpc.VideoServiceStub(channel).GetVideo(pb.GetVideoRequest())
    assert len(videos.seen) == 3


async def test_a_call_without_deadline_gets_the_servers() -> None:
    videos = make_videos()
    videos.on_get = lambda context: asyncio.Event().wait()
    async with serving(videos, default_deadline_s=0.1) as target, grpc.aio.insecure_channel(target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.VideoServiceStub(channel).GetVideo(pb.GetVideoRequest())
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error_from_rpc(caught.value).reason == "DEPENDENCY_UNAVAILABLE"


async def test_the_channels_deadline_reaches_the_server() -> None:
    videos = make_videos()
    remaining: list[float] = []

    def note(context: Context) -> pb.GetVideoResponse:
        remaining.append(context.time_remaining())
        return pb.GetVideoResponse()

    videos.on_get = note
    async with serving(videos) as target, open_channel(target, timeout_s=3) as channel:
        await pb_grpc.VideoServiceStub(channel).GetVideo(pb.GetVideoRequest())
    # gRPC rounds deadlines on the wire; without the channel's, the server's own default of 30 s would show.
    assert 0 < remaining[0] < 4


async def test_health_tells_the_truth_from_start_to_stop() -> None:
    server = RpcServer([])
    port = await server.start("127.0.0.1:0")
    async with open_channel(f"127.0.0.1:{port}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())  # type: ignore[no-untyped-call]
        statuses = aiter(watch)
        assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await server.set_serving()
        assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.SERVING
        await server.set_draining()
        assert (await anext(statuses)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
    await server.stop(0)


async def test_reflection_lists_the_service() -> None:
    async with serving(make_videos()) as target, open_channel(target) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
        call = stub.ServerReflectionInfo(iter([request]))
        answer = await anext(aiter(call))
        call.cancel()
    names = {service.name for service in answer.list_services_response.service}
    assert {"kinemesh.video.v1.VideoService", "grpc.health.v1.Health"} <= names


async def test_a_taken_port_is_refused() -> None:
    async with serving(make_videos()) as target:
        with pytest.raises(RuntimeError, match="Failed to bind"):
            await RpcServer([]).start(target)


async def test_a_claim_is_not_repeated_by_the_channel() -> None:
    claims: list[bytes] = []

    async def refuse(request: bytes, context: Any) -> None:
        claims.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")

    server = grpc.aio.server()
    handlers: Any = {"ClaimJob": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("kinemesh.orchestrator.v1.JobService", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await job_service_pb2_grpc.JobServiceStub(channel).ClaimJob(job_service_pb2.ClaimJobRequest())
    await server.stop(0)
    assert len(claims) == 1
