"""Generates openapi.json from the contracts; with --check only says whether it has drifted."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

from gateway.edge.tickets import TTL_S
from gateway.openapi import DOCUMENT
from gateway.openapi.constraints import IDS
from gateway.openapi.contracts import load_contracts
from gateway.openapi.operations import Operations, failure
from gateway.openapi.schemas import Schemas

_VIDEO = {
    "name": "request_id",
    "in": "path",
    "required": True,
    "description": "The video's id, a UUID.",
    "schema": {"type": "string", **IDS["request_id"]},
}
_ERROR = {
    "type": "object",
    "description": "The one shape of errors. Test `code`, never the texts.",
    "required": ["error", "reason", "code", "request_id"],
    "properties": {
        "error": {"type": "string", "description": "A short title."},
        "reason": {"type": "string", "description": "One sentence."},
        "code": {"type": "string", "description": "A machine reason."},
        "request_id": {
            "type": ["string", "null"],
            "description": "The request's X-Request-ID; null where the request was refused unread.",
        },
        "status": {"type": "string", "description": "The video's status, where it is the reason."},
    },
}
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "token_in_query": {"type": "apiKey", "in": "query", "name": "access_token"},
}


def document() -> dict[str, Any]:
    """The document as plain data."""
    contracts = load_contracts()
    schemas = Schemas(contracts)
    paths = Operations(contracts, schemas).paths() | _of_the_edge()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kinemesh",
            "version": version("kinemesh"),
            "description": "Text to video with sound. Routes in the shape of OpenAI's Videos are under `/openai/v1`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**schemas.components, "Error": _ERROR}.items())),
            "securitySchemes": _SECURITY,
        },
    }


def _of_the_edge() -> dict[str, Any]:
    """What is no method of a service: the WebSocket and the ticket for it."""
    return {
        "/v1/videos/{request_id}/progress": {"get": _socket()},
        "/v1/videos/{request_id}/progress/ticket": {"post": _ticket()},
    }


def _socket() -> dict[str, Any]:
    return {
        "operationId": "watchVideo",
        "tags": ["VideoService"],
        "summary": "A video's life over a WebSocket.",
        "description": "JSON messages: progress, phase_change, checkpoint_saved, completed and error. The first "
        "is a snapshot, the last is completed or error. `last_event_id` resumes after a message's `id`.",
        "security": [{"token": []}, {"token_in_query": []}, {}],
        "parameters": [
            _VIDEO,
            _query("ticket", "A ticket, instead of a token."),
            _query("last_event_id", "The `id` of the last message that was seen."),
        ],
        "responses": {
            "101": {"description": "The socket is open."},
            "401": failure("No valid token or ticket."),
            "404": failure("No such video, or not the caller's."),
            "426": failure("Not asked for as a WebSocket."),
            "default": failure("Whatever else goes wrong on the way."),
        },
    }


def _ticket() -> dict[str, Any]:
    fields = {"ticket": {"type": "string"}, "expires_in_seconds": {"type": "integer"}}
    schema = {"type": "object", "required": list(fields), "properties": fields}
    return {
        "operationId": "createProgressTicket",
        "tags": ["VideoService"],
        "summary": "A ticket that opens the video's WebSocket once.",
        "description": f"For browsers, which cannot send a token with a WebSocket. Valid for {TTL_S} s.",
        "parameters": [_VIDEO],
        "responses": {
            "200": {"description": "The ticket.", "content": {"application/json": {"schema": schema}}},
            "401": failure("No valid token."),
            "404": failure("No such video, or not the caller's."),
            "default": failure("Whatever else goes wrong on the way."),
        },
    }


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": {"type": "string"}}


def main() -> int:
    """Generates, or with --check compares; returns the exit status."""
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv:
        DOCUMENT.write_text(text, encoding="utf-8")
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("openapi.json has drifted from the contracts; run `make protos`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
