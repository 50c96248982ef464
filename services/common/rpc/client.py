"""gRPC channels to other services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import grpc

from services.common.rpc.interceptors import REQUEST_ID_KEY
from services.common.rpc.server import MAX_MESSAGE_BYTES
from services.common.rpc.status import error_from_rpc
from services.common.telemetry.logs import REQUEST_ID
from services.common.telemetry.tracing import trace_headers

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["DEFAULT_TIMEOUT_S", "error_from_rpc", "open_channel"]

DEFAULT_TIMEOUT_S = 10.0

# The calls of the mesh may be repeated: the same call with the same arguments has the same effect and answer. ClaimJob
# is the exception: if an answer is lost, its repetition takes a second job; stages ask again of themselves.
# grpc adds 20 % jitter to each wait; five attempts bridge the three seconds of a restart.
_RETRY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
        {"name": [{"service": "kinemesh.orchestrator.v1.JobService", "method": "ClaimJob"}]},
    ]
}

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


def open_channel(target: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, retry: bool = True) -> grpc.aio.Channel:
    """Opens a channel to a service of the mesh; use it as `async with` or close it.

    Calls carry the request id and the trace. Unary calls without their own `timeout=` get `timeout_s`; streams have
    none, as they last. UNAVAILABLE is retried with jittered backoff within the deadline.

    Args:
        target: "host:port" or any gRPC target.
        timeout_s: Default deadline of unary calls, seconds.
        retry: Whether UNAVAILABLE is retried by the channel.
    """
    config = (("grpc.service_config", json.dumps(_RETRY)),) if retry else (("grpc.enable_retries", 0),)
    return _ContextChannel(grpc.aio.insecure_channel(target, options=(*_OPTIONS, *config)), timeout_s)


class _ContextChannel(grpc.aio.Channel):
    """Adds context and deadline to every call.

    A channel and not interceptors: those of grpc.aio replace the call object, and its streams then lack methods.
    """

    def __init__(self, inner: grpc.aio.Channel, timeout_s: float) -> None:
        self._inner = inner
        self._timeout_s = timeout_s

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _ContextCall(self._inner.unary_unary(*args, **kwargs), self._timeout_s)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _ContextCall(self._inner.stream_unary(*args, **kwargs), self._timeout_s)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _ContextCall(self._inner.unary_stream(*args, **kwargs), None)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _ContextCall(self._inner.stream_stream(*args, **kwargs), None)

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc, traceback)


class _ContextCall:
    """A multi-callable that fills in timeout and metadata."""

    def __init__(self, inner: Any, timeout_s: float | None) -> None:
        self._inner = inner
        self._timeout_s = timeout_s

    def __call__(self, *args: Any, timeout: float | None = None, metadata: Any = (), **kwargs: Any) -> Any:
        deadline_s = self._timeout_s if timeout is None else timeout
        return self._inner(*args, timeout=deadline_s, metadata=_with_context(metadata or ()), **kwargs)


def _with_context(metadata: Any) -> grpc.aio.Metadata:
    """Adds request id and trace, unless the caller set them."""
    merged = grpc.aio.Metadata(*metadata)
    added = trace_headers()
    if REQUEST_ID.get():
        added[REQUEST_ID_KEY] = REQUEST_ID.get()
    for key, value in added.items():
        if merged.get(key) is None:
            merged.add(key, value)
    return merged
