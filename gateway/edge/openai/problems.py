"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aiohttp import web

from gateway.edge.openai.names import code_of, type_of
from services.common.errors import (
    FieldViolation,
    Internal,
    InvalidArgument,
    PayloadTooLarge,
    RouteNotFound,
    ServiceError,
)
from services.common.rpc.client import error_from_rpc

# Its clients expect 400 of a refused prompt, and 429 of an empty account, which no repetition fills.
_STATUSES = {"CONTENT_BLOCKED": 400, "INSUFFICIENT_CREDITS": 429}
_NEVER_RETRY = frozenset({"INSUFFICIENT_CREDITS", "IDEMPOTENCY_KEY_REUSED"})
_PARAMS = {
    "aspect_ratio": "size",
    "duration_seconds": "seconds",
    "first_frame_image": "input_reference",
    "resolution": "size",
}

logger = logging.getLogger(__name__)


@web.middleware
async def openai_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answers every failure in OpenAI's shape."""
    try:
        return await handler(request)
    except grpc.aio.AioRpcError as error:
        return _answer(error_from_rpc(error))
    except ServiceError as error:
        return _answer(error)
    except web.HTTPRequestEntityTooLarge:
        return _answer(PayloadTooLarge("PAYLOAD_TOO_LARGE", "the body is too large"))
    except web.HTTPException as error:
        return _answer(RouteNotFound("ROUTE_NOT_FOUND", "no such route"), status=error.status)
    except Exception:
        logger.exception("request failed unexpectedly", extra={"method": request.method})
        return _answer(Internal("INTERNAL", "the server failed to answer"))


def _answer(error: ServiceError, *, status: int | None = None) -> web.Response:
    http = status or _STATUSES.get(error.reason, error.http_code)
    kind = "insufficient_quota" if error.reason == "INSUFFICIENT_CREDITS" else type_of(http)
    # An unknown field is called as the client did, also where it is a name of ours.
    params = {} if error.reason == "UNKNOWN_FIELD" else _PARAMS
    violations = [FieldViolation(params.get(v.field, v.field), v.description) for v in error.violations]
    message = InvalidArgument.of_fields(*violations).message if violations else error.message
    param = violations[0].field if violations else None
    body: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code_of(error.reason)}
    return web.json_response({"error": body}, status=http, headers=_headers(error))


def _headers(error: ServiceError) -> dict[str, str]:
    if error.reason in _NEVER_RETRY:
        return {"x-should-retry": "false"}
    return {} if error.retry_after_s is None else {"retry-after": str(math.ceil(error.retry_after_s))}
