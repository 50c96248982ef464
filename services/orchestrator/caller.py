"""Who calls, and what his metadata says."""

from __future__ import annotations

import math
from typing import Any, TypeAlias
from uuid import UUID

import grpc

from services.common.errors import InvalidArgument
from services.common.identity import metadata, user_id
from services.common.rpc.interceptors import REQUEST_ID_KEY
from services.orchestrator.usecases.reading import parse_id

__all__ = ["Context", "idempotency_key", "metadata", "token_expires_at", "user_id"]

_EXPIRES_KEY = "x-token-expires-at"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def token_expires_at(context: Context) -> float:
    """When the caller's token expires, seconds since 1970, as the gateway says; never for a caller without one."""
    text = metadata(context).get(_EXPIRES_KEY, "")
    return int(text) if text.isdecimal() else math.inf


def idempotency_key(context: Context) -> UUID | None:
    """The key of the request; None when the caller gave none.

    Raises:
        InvalidArgument: It is not a UUID.
    """
    text = metadata(context).get(REQUEST_ID_KEY)
    if not text:
        return None
    key = parse_id(text)
    if key is None:
        raise InvalidArgument.of_field(REQUEST_ID_KEY, "must be a UUID")
    return key
