"""Methods as operations: path, parameters, body, and what may be answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from gateway.openapi.constraints import IDS
from gateway.openapi.contracts import Contracts, Method
from gateway.openapi.schemas import Schema, Schemas

_HTTP_BODY = ".google.api.HttpBody"
_FROM_JSON = "FromJson"
# Every method's: no token, too many requests, a defect, something down, something slow. Others are in the comments.
_ALWAYS = {401: ["UNAUTHENTICATED"], 429: ["RATE_LIMITED"], 500: ["INTERNAL"], 503: ["DEPENDENCY_UNAVAILABLE"]}
_TEXTS = {
    400: "The request is wrong.",
    401: "No valid token.",
    402: "Too few credits.",
    404: "No such thing, or not the caller's.",
    409: "The state of the thing forbids it.",
    413: "The body is too large.",
    429: "Too much at once.",
    451: "The content policy forbids it.",
    500: "A defect.",
    503: "Something needed does not answer.",
}
_KEY = {"type": "string", "anyOf": [{"format": "uuid"}, {"maxLength": 0}]}
"""An empty header is as good as none."""
_EVENT = {
    "type": "object",
    "description": "One event. `data` is a JSON object; a comment every 15 s says that the stream lives.",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"enum": ["progress", "phase_change", "completed", "error"]},
        "id": {"type": "string", "description": "Resumes behind the event as `Last-Event-ID`."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "Of `progress`, every few steps with `preview`: a JPEG of the clip so far as data: URL.",
        },
    },
}
ERROR = {"$ref": "#/components/schemas/Error"}


class Operations:
    """Makes operations."""

    def __init__(self, contracts: Contracts, schemas: Schemas) -> None:
        self._contracts = contracts
        self._schemas = schemas
        self._comments = {method.proto.name: method.comment for method in contracts.methods}

    def paths(self) -> dict[str, dict[str, Schema]]:
        """All of them, by path and verb."""
        paths: dict[str, dict[str, Schema]] = {}
        for method in self._contracts.methods:
            if method.rule is not None:
                verb = str(method.rule.WhichOneof("pattern"))
                paths.setdefault(getattr(method.rule, verb), {})[verb] = self._operation(method)
        return dict(sorted(paths.items()))

    def _operation(self, method: Method) -> Schema:
        name = method.proto.name.removesuffix(_FROM_JSON)
        comment = self._comment(method)
        operation: Schema = {
            "operationId": name[0].lower() + name[1:],
            "tags": [method.service],
            "summary": comment.partition(". ")[0].rstrip(".") + ".",
            "description": comment,
            "parameters": [*self._fields(method), *_headers(comment)],
            "responses": self._responses(method, comment),
        }
        if method.proto.name.endswith(_FROM_JSON):
            schema = self._schemas.of_request(f"kinemesh.video.v1.{name}Request")
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        if _is_event_stream(method):
            operation["security"] = [{"token": []}, {"token_in_query": []}]
        return operation

    def _comment(self, method: Method) -> str:
        """A method that takes JSON does what the typed one does."""
        typed = method.proto.name.removesuffix(_FROM_JSON)
        return method.comment if typed == method.proto.name else f"{self._comments[typed]} {method.comment}"

    def _fields(self, method: Method) -> Iterator[Schema]:
        name = method.proto.input_type.lstrip(".")
        for field in self._contracts.messages[name].field:
            if field.type_name == _HTTP_BODY or method.rule is None:
                continue
            path = f"{{{field.name}}}" in getattr(method.rule, str(method.rule.WhichOneof("pattern")))
            yield self._parameter(name, field, "path" if path else "query")

    def _parameter(self, message: str, field: FieldDescriptorProto, place: str) -> Schema:
        return {
            "name": field.name,
            "in": place,
            "required": place == "path",
            "description": self._schemas.comment_of(f"{message}.{field.name}"),
            "schema": self._schemas.of_parameter(message, field) | (IDS[field.name] if place == "path" else {}),
        }

    def _responses(self, method: Method, comment: str) -> dict[str, Schema]:
        found = re.search(r"Answers HTTP (\d{3})", comment)
        responses = {found[1] if found else "200": self._success(method)}
        reasons = {code: list(names) for code, names in _ALWAYS.items()}
        for reason in self._reasons(comment):
            code = self._contracts.reasons[reason]
            reasons.setdefault(code, [])
            reasons[code] += [reason] if reason not in reasons[code] else []
        if any(True for _ in self._fields(method)):
            reasons.setdefault(400, ["INVALID_FIELD"])
        for code in sorted(reasons):
            responses[str(code)] = failure(f"{_TEXTS[code]} `code` is {' or '.join(reasons[code])}.")
        responses["default"] = failure("Whatever else goes wrong on the way.")
        return responses

    def _reasons(self, comment: str) -> Iterator[str]:
        for sentence in re.findall(r"Errors: (.*?)(?:\.(?: |$)|$)", comment):
            for other in re.findall(r"as ([A-Z]\w+)", sentence):
                yield from self._reasons(self._comments[other])
            yield from (word for word in re.findall(r"[A-Z_]{5,}", sentence) if word in self._contracts.reasons)

    def _success(self, method: Method) -> Schema:
        if _is_event_stream(method):
            content = {"text/event-stream": {"schema": _EVENT}}
            return {"description": "The events, as they happen.", "content": content}
        schema = self._schemas.of_answer(method.proto.output_type)
        description = self._schemas.comment_of(method.proto.output_type.lstrip("."))
        return {"description": description, "content": {"application/json": {"schema": schema}}}


def failure(description: str) -> Schema:
    """A response in the one shape of errors."""
    return {"description": description, "content": {"application/json": {"schema": ERROR}}}


def _is_event_stream(method: Method) -> bool:
    return bool(method.proto.server_streaming) and method.proto.output_type == _HTTP_BODY


def _headers(comment: str) -> Iterator[dict[str, Any]]:
    """The metadata that a comment names, which REST clients send as headers."""
    for name, kind in dict(re.findall(r"Metadata `([a-z-]+)`( \(a UUID\))?", comment)).items():
        schema = _KEY if kind else {"type": "string"}
        yield {"name": name, "in": "header", "required": False, "schema": schema}
