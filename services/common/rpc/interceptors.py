"""What surrounds every call a server answers.

Each interceptor is one asynchronous context manager, `around`; `CallInterceptor` puts it around handlers of all kinds.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import uuid
from abc import abstractmethod
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry import propagate
from opentelemetry.trace import SpanKind

from services.common.errors import ServiceError
from services.common.rpc.status import trailers
from services.common.rpc.translate import to_service_error
from services.common.telemetry.logs import REQUEST_ID
from services.common.telemetry.metrics import RPC_IN_FLIGHT, RPC_SECONDS
from services.common.telemetry.tracing import tracer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

REQUEST_ID_KEY = "x-request-id"
_INFRASTRUCTURE = ("/grpc.health.", "/grpc.reflection.")
_MAX_REQUEST_ID = 128

logger = logging.getLogger(__name__)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Surrounds calls with an asynchronous context manager."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}
        """By method; a server's methods stay as they are, so that each is wrapped once."""

    @abstractmethod
    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        """Surrounds one call. `method` is "/package.Service/Method"."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the method's handler; None (no such method) stays None."""
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._wrapped[method] = self._wrap(handler, method)
        return self._wrapped[method]

    def _wrap(self, handler: Handler, method: str) -> Handler:
        kind = f"{_arity(handler.request_streaming)}_{_arity(handler.response_streaming)}"
        inner = getattr(handler, kind)

        async def answer_once(request: Any, context: Context) -> Any:
            async with self.around(method, context):
                return await inner(request, context)

        async def answer_many(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self.around(method, context), aclosing(inner(request, context)) as responses:
                async for response in responses:
                    yield response

        # A streaming handler may also be a coroutine that calls context.write; then there is nothing to iterate.
        wrapped = answer_many if inspect.isasyncgenfunction(inner) else answer_once
        rebuild = getattr(grpc, f"{kind}_rpc_method_handler")
        rebuilt: Handler = rebuild(wrapped, handler.request_deserializer, handler.response_serializer)
        return rebuilt


class ErrorInterceptor(CallInterceptor):
    """Turns every exception into a status with details. Outermost, so that no text of an exception leaves unseen.

    Also adopts the caller's x-request-id, or makes one, because error bodies and logs name it.
    """

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Aborts the call with the exception's public face."""
        REQUEST_ID.set(_metadata(context).get(REQUEST_ID_KEY, "")[:_MAX_REQUEST_ID] or str(uuid.uuid4()))
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as exc:
            error = to_service_error(exc)
            if not isinstance(exc, ServiceError):
                logger.exception("call failed unexpectedly", extra={"method": method, "reason": error.reason})
            await context.abort(error.code, error.message, trailers(error, REQUEST_ID.get()))


class TraceInterceptor(CallInterceptor):
    """Opens a server span under the caller's."""

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Makes the span current for the call."""
        parent = propagate.extract(_metadata(context))
        with tracer.start_as_current_span(method.lstrip("/"), parent, SpanKind.SERVER, record_exception=False):
            yield


class ObserveInterceptor(CallInterceptor):
    """Measures every call, and logs it with its status."""

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:  # noqa: ARG002
        """Logs when the call ends; health checks and reflection only when they fail."""
        started, code, reason = time.monotonic(), "OK", ""
        try:
            with RPC_IN_FLIGHT.labels(method).track_inprogress():
                yield
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED.name
            raise
        except Exception as exc:
            error = to_service_error(exc)
            code, reason = error.code.name, error.reason
            raise
        finally:
            elapsed_s = time.monotonic() - started
            RPC_SECONDS.labels(method, code).observe(elapsed_s)
            level = logging.DEBUG if method.startswith(_INFRASTRUCTURE) else logging.INFO
            fields = {"method": method, "code": code, "reason": reason, "elapsed_ms": round(elapsed_s * 1000, 1)}
            logger.log(level, "call answered", extra=fields)


class DeadlineInterceptor(CallInterceptor):
    """Gives unary calls whose client set no deadline a default one. Streams may last."""

    def __init__(self, default_s: float) -> None:
        super().__init__()
        self._default_s = default_s

    def _wrap(self, handler: Handler, method: str) -> Handler:
        return handler if handler.response_streaming else super()._wrap(handler, method)

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:  # noqa: ARG002
        """Raises TimeoutError inside the handler once the time is up."""
        async with asyncio.timeout(None if context.time_remaining() else self._default_s):
            yield


def _arity(streaming: bool) -> str:
    return "stream" if streaming else "unary"


def _metadata(context: Context) -> dict[str, str]:
    pairs: Any = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}
