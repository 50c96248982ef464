"""The bodies of Envoy's own replies: the same JSON as the services' errors."""

from __future__ import annotations

from typing import Any

from gateway.edge.openai import names
from gateway.envoy.routes import OPENAI_PREFIX

Config = dict[str, Any]

_CODES = {
    400: ("Bad request", "INVALID_FIELD"),
    401: ("Unauthorized", "UNAUTHENTICATED"),
    403: ("Unauthorized", "UNAUTHENTICATED"),
    404: ("Not found", "ROUTE_NOT_FOUND"),
    405: ("Method not allowed", "ROUTE_NOT_FOUND"),
    408: ("Request timeout", "REQUEST_TIMEOUT"),
    413: ("Payload too large", "PAYLOAD_TOO_LARGE"),
    426: ("Upgrade required", "UPGRADE_REQUIRED"),
    429: ("Too many requests", "RATE_LIMITED"),
    431: ("Request headers too large", "PAYLOAD_TOO_LARGE"),
    502: ("Bad gateway", "DEPENDENCY_UNAVAILABLE"),
    503: ("Service unavailable", "DEPENDENCY_UNAVAILABLE"),
    504: ("Gateway timeout", "DEPENDENCY_UNAVAILABLE"),
}

_FORBIDDEN = 403
"""Envoy says it of a token for another audience only; that identifies nobody here, so it becomes a 401."""


def local_reply_config() -> Config:
    """Plain text for gRPC clients, which read it as the status message; JSON for everybody else."""
    openai = (_openai_mapper(code, reason) for code, (_, reason) in _CODES.items())
    json = (_json_mapper(code, *texts) for code, texts in _CODES.items())
    return {"mappers": [_grpc_mapper(_status(_FORBIDDEN)), _grpc_mapper(), *openai, *json]}


def _grpc_mapper(*conditions: Config) -> Config:
    # A transcoded request also has the content type of gRPC by now, and with it the path it came by.
    is_grpc = _header("content-type", {"string_match": {"prefix": "application/grpc"}})
    not_transcoded = _header("x-envoy-original-path", {"present_match": False})
    return {
        "filter": {"and_filter": {"filters": [is_grpc, not_transcoded, *conditions]}},
        "body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}},
        **({"status_code": _status_of(_FORBIDDEN)} if conditions else {}),
    }


def _header(name: str, match: Config) -> Config:
    return {"header_filter": {"header": {"name": name, **match}}}


def _json_mapper(code: int, error: str, reason: str) -> Config:
    body = {"error": error, "reason": "%LOCAL_REPLY_BODY%", "code": reason, "request_id": "%REQ(X-REQUEST-ID)%"}
    return {"filter": _status(code), **_answer(code, body)}


def _openai_mapper(code: int, reason: str) -> Config:
    # `param` is null in every reply of Envoy's own, which its formatter writes for a value that is not there.
    body = {
        "message": "%LOCAL_REPLY_BODY%",
        "type": names.type_of(_status_of(code)),
        "param": None,
        "code": names.code_of(reason),
    }
    is_openai = _header(":path", {"string_match": {"prefix": OPENAI_PREFIX}})
    return {"filter": {"and_filter": {"filters": [is_openai, _status(code)]}}, **_answer(code, {"error": body})}


def _answer(code: int, body: Config) -> Config:
    return {
        "status_code": _status_of(code),
        "body_format_override": {"content_type": "application/json", "json_format": body},
    }


def _status_of(code: int) -> int:
    return 401 if code == _FORBIDDEN else code


def _status(code: int) -> Config:
    comparison = {"op": "EQ", "value": {"default_value": code, "runtime_key": f"kinemesh.reply_{code}"}}
    return {"status_code_filter": {"comparison": comparison}}
