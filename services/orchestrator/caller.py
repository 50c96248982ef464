"""Who calls, and what his metadata says."""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from uuid import UUID

import grpc

from services.common.errors import InvalidArgument, Unauthenticated
from services.common.rpc.interceptors import REQUEST_ID_KEY
from services.orchestrator.usecases.reading import parse_id

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_USER_ID = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


def user_id(context: Context) -> str:
    """The caller, whom the gateway has verified.

    Raises:
        Unauthenticated: UNAUTHENTICATED.
    """
    user = metadata(context).get("x-user-id", "")
    if not _USER_ID.fullmatch(user):
        raise Unauthenticated("UNAUTHENTICATED", "no caller is known")
    return user


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


def metadata(context: Context) -> dict[str, str]:
    """The call's textual metadata."""
    pairs: Any = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}
