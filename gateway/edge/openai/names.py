"""OpenAI's names for what goes wrong."""

from __future__ import annotations

_CODES = {
    "CONTENT_BLOCKED": "content_policy_violation",
    "INSUFFICIENT_CREDITS": "insufficient_quota",
    "INVALID_FIELD": "invalid_value",
    "MODEL_NOT_DEPLOYED": "model_not_found",
    "RATE_LIMITED": "rate_limit_exceeded",
    "UNAUTHENTICATED": "invalid_api_key",
    "UNKNOWN_FIELD": "unknown_parameter",
}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def code_of(reason: str) -> str:
    """OpenAI's name for a reason; reasons that it has no name for keep theirs in lower case."""
    return _CODES.get(reason, reason.lower())


def type_of(status: int) -> str:
    """OpenAI's kind of error for an HTTP status."""
    return "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
