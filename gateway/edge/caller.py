"""Who calls, and what of his request goes on to the services.

Envoy verifies the token and sets both headers; it removes them from what clients send. Only a socket that is opened
with a ticket comes without.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

USER_HEADER = "x-user-id"
EXPIRES_HEADER = "x-token-expires-at"
REQUEST_ID_HEADER = "x-request-id"

Metadata = tuple[tuple[str, str], ...]


def metadata(request: web.Request) -> Metadata:
    """The metadata of a call made for this request."""
    headers = ((name, request.headers.get(name)) for name in (USER_HEADER, REQUEST_ID_HEADER))
    return tuple((name, value) for name, value in headers if value)


def token_expires_at(request: web.Request) -> float:
    """When the caller's token expires, seconds since 1970."""
    text = request.headers.get(EXPIRES_HEADER, "")
    return float(text) if text.isdecimal() else math.inf
