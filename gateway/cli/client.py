"""Calls to the gateway over native gRPC, with errors as the command shows them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx

from kinemesh.billing.v1.billing_service_pb2_grpc import AccountServiceStub
from kinemesh.scheduler.v1.scheduler_service_pb2_grpc import WorkerServiceStub
from kinemesh.video.v1.video_service_pb2 import WatchVideoRequest, WatchVideoResponse
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub

CALL_TIMEOUT_S = 30.0
DOWNLOAD_TIMEOUT_S = 300.0
_WATCH_RETRIES = 60
_RECONNECT_WAIT_S = 1.0
# A gateway that restarts resets its streams, which gRPC reports as INTERNAL.
_BROKEN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)


class ApiError(Exception):
    """The API refused a call.

    Attributes:
        code: Machine reason, e.g. "INSUFFICIENT_CREDITS".
        reachable: Whether the mesh answered at all.
    """

    def __init__(self, code: str, message: str, *, reachable: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.reachable = reachable


@dataclass(frozen=True)
class Client:
    """Stubs of the public services and the caller's metadata."""

    videos: VideoServiceStub
    workers: WorkerServiceStub
    accounts: AccountServiceStub
    metadata: tuple[tuple[str, str], ...]

    def with_new_request_id(self) -> tuple[tuple[str, str], ...]:
        """Metadata for a call that must happen once."""
        return (*self.metadata, ("x-request-id", str(uuid.uuid4())))

    def watch(self, request_id: str) -> Iterator[WatchVideoResponse]:
        """Yields a video's events to the terminal one, reconnecting where the stream breaks."""
        last_event_id, failures = "", 0
        while True:
            request = WatchVideoRequest(request_id=request_id, last_event_id=last_event_id)
            try:
                for event in self.videos.WatchVideo(request, metadata=self.metadata):
                    yield event
                    last_event_id, failures = event.event_id, 0
                    if event.WhichOneof("event") in ("completed", "error"):
                        return
            except grpc.RpcError as error:
                failures += 1
                if error.code() not in _BROKEN or failures > _WATCH_RETRIES:
                    raise
                time.sleep(_RECONNECT_WAIT_S)


@contextmanager
def connect(url: str, token: str) -> Iterator[Client]:
    """Opens a channel to the gateway; every failed call becomes an ApiError."""
    parts = urlsplit(url)
    target = parts.netloc or url
    options = (("grpc.keepalive_time_ms", 20_000), ("grpc.max_receive_message_length", 16 * 2**20))
    if parts.scheme == "https":
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)
    else:
        channel = grpc.insecure_channel(target, options)
    metadata = (("authorization", f"Bearer {token}"),)
    with channel, api_errors():
        yield Client(VideoServiceStub(channel), WorkerServiceStub(channel), AccountServiceStub(channel), metadata)


@contextmanager
def api_errors() -> Iterator[None]:
    """Turns what gRPC raises into an ApiError."""
    try:
        yield
    except grpc.RpcError as error:
        raise _api_error(error) from error


def _api_error(error: grpc.RpcError) -> ApiError:
    body = _json_of(error)
    code = body.get("code") or error.code().name
    reachable = error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return ApiError(code, body.get("reason") or error.details() or "no answer", reachable=reachable)


def _json_of(error: grpc.RpcError) -> dict[str, str]:
    for item in error.trailing_metadata() or ():
        if item.key == "x-error-json":
            return dict(json.loads(item.value))
    return {}


def download(url: str, target: Path) -> int:
    """Fetches a presigned address into a file, whole or not at all; returns its size in bytes.

    Raises:
        httpx.HTTPError: The address does not answer with the object.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with httpx.stream("GET", url, timeout=DOWNLOAD_TIMEOUT_S, trust_env=False) as response, partial.open("wb") as file:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            file.write(chunk)
    partial.replace(target)
    return target.stat().st_size
