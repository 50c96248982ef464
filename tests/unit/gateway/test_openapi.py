"""The OpenAPI document is what the contracts give, and says what is particular about this API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.openapi import DOCUMENT
from gateway.openapi.constraints import CONSTRAINTS, REQUIRED
from gateway.openapi.contracts import Contracts, load_contracts
from gateway.openapi.generate import document

COMMITTED: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return load_contracts()


def test_the_committed_document_has_not_drifted() -> None:
    assert document() == COMMITTED


def test_constraints_name_fields_that_exist(contracts: Contracts) -> None:
    fields = {f"{name}.{field.name}" for name, message in contracts.messages.items() for field in message.field}
    assert set(CONSTRAINTS) <= fields
    assert {f"{name}.{field}" for name, names in REQUIRED.items() for field in names} <= fields


def test_every_method_with_a_path_is_documented(contracts: Contracts) -> None:
    with_a_path = sum(method.rule is not None for method in contracts.methods)
    assert sum(len(verbs) for path, verbs in COMMITTED["paths"].items() if "/progress" not in path) == with_a_path


def _operation(verb: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = COMMITTED["paths"][path][verb]
    return operation


def test_create_is_accepted_with_202_and_reads_strictly() -> None:
    create = _operation("post", "/v1/videos")
    assert {"202", "400", "401", "402", "409", "413", "429", "451"} <= set(create["responses"])
    assert "200" not in create["responses"]
    (key,) = create["parameters"]
    assert (key["name"], key["in"], key["schema"]["anyOf"][0]) == ("x-request-id", "header", {"format": "uuid"})
    body = COMMITTED["components"]["schemas"]["CreateVideoRequest"]
    assert body["required"] == ["prompt"]
    assert body["additionalProperties"] is False
    assert body["properties"]["fps"]["enum"] == [24, 30, 60, None]
    assert body["properties"]["prompt"]["type"] == "string"


def test_errors_come_from_the_comments_of_the_methods() -> None:
    cancel = _operation("delete", "/v1/videos/{request_id}")
    assert "VIDEO_ALREADY_FINISHED" in cancel["responses"]["409"]["description"]
    webhook = _operation("get", "/v1/videos/{request_id}/webhook")
    assert "VIDEO_NOT_FOUND or RESOURCE_NOT_FOUND" in webhook["responses"]["404"]["description"]
    replay = _operation("post", "/v1/videos/{request_id}/webhook:replay")
    assert replay["responses"]["404"] == webhook["responses"]["404"]


def test_streams_are_event_streams_and_take_a_token_in_the_query() -> None:
    stream = _operation("get", "/v1/videos/{request_id}/stream")
    assert set(stream["responses"]["200"]["content"]) == {"text/event-stream"}
    assert {"token_in_query": []} in stream["security"]
    assert "last-event-id" in [parameter["name"] for parameter in stream["parameters"]]


def test_answers_are_as_the_transcoder_prints_them() -> None:
    video = COMMITTED["components"]["schemas"]["GetVideoResponse"]
    assert video["properties"]["seed"]["type"] == "string"
    assert video["properties"]["created_at"]["format"] == "date-time"
    assert {"request_id", "status", "seed", "prompt"} <= set(video["required"])
    assert not {"output", "progress", "credits_used", "completed_at"} & set(video["required"])
