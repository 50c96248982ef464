"""Errors: what a reader of the JSON body and of gRPC details gets, and that both survive a hop."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from kinemesh.common.v1 import error_reason_pb2
from services.common import errors
from services.common.rpc import status
from services.common.rpc.translate import to_service_error

COMMON = Path(errors.__file__).parent


def rpc_error(error: errors.ServiceError, request_id: str = "r-1") -> grpc.aio.AioRpcError:
    """What a client catches when a server aborted with `error`."""
    trailers = grpc.aio.Metadata(*status.trailers(error, request_id))
    return grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), trailers, error.message)


def test_json_body_names_title_sentence_reason_and_status() -> None:
    error = errors.Conflict(
        "VIDEO_ALREADY_FINISHED", "Video already completed", title="Cannot cancel", status="COMPLETED"
    )
    assert json.loads(status.json_body(error, "r-1")) == {
        "error": "Cannot cancel",
        "reason": "Video already completed",
        "code": "VIDEO_ALREADY_FINISHED",
        "status": "COMPLETED",
        "request_id": "r-1",
    }


def test_json_body_without_status_has_no_such_key() -> None:
    assert "status" not in json.loads(status.json_body(errors.NotFound("VIDEO_NOT_FOUND", "no such video"), "r-1"))


@given(st.text())
def test_json_body_is_legal_in_a_header(text: str) -> None:
    body = status.json_body(errors.InvalidArgument.of_field("prompt", text), "r-1")
    assert body.isascii()
    assert body.isprintable()


def test_details_name_the_reason_the_domain_and_each_wrong_field() -> None:
    error = errors.InvalidArgument.of_fields(
        errors.FieldViolation("fps", "must be 24, 30 or 60"), errors.FieldViolation("seed", "must not be negative")
    )
    proto = status.status_proto(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert proto.details[0].Unpack(info)
    assert proto.details[1].Unpack(bad)
    assert (info.domain, info.reason) == ("kinemesh", "INVALID_FIELD")
    assert [v.field for v in bad.field_violations] == ["fps", "seed"]
    assert error.message == "fps: must be 24, 30 or 60; seed: must not be negative"


def test_trailers_stay_below_what_clients_accept() -> None:
    violations = [errors.FieldViolation("f" * 1000, "d" * 5000) for _ in range(100)]
    error = errors.InvalidArgument("INVALID_FIELD", "\N{SNOWMAN}" * 5000, violations=violations)
    assert sum(len(key) + len(value) for key, value in status.trailers(error, "r" * 128)) < 8000


@pytest.mark.parametrize(
    "error",
    [
        errors.PaymentRequired("INSUFFICIENT_CREDITS", "too few credits", required="2.0", available="1.5"),
        errors.Conflict("VIDEO_ALREADY_FINISHED", "already completed", title="Cannot cancel", status="COMPLETED"),
        errors.ContentBlocked("CONTENT_BLOCKED", "the prompt is not allowed", categories="violence"),
        errors.InvalidArgument.of_field("fps", "must be 24, 30 or 60"),
        errors.PayloadTooLarge("PAYLOAD_TOO_LARGE", "at most 10 MB"),
        errors.ResourceExhausted("RATE_LIMITED", "too many", retry_after_s=1.5),
        errors.RouteNotFound("ROUTE_NOT_FOUND", "no such method"),
        errors.DataLoss("CHECKSUM_MISMATCH", "the stored object is damaged"),
    ],
    ids=lambda error: error.reason,
)
def test_an_error_survives_a_hop(error: errors.ServiceError) -> None:
    restored = status.error_from_rpc(rpc_error(error))
    assert type(restored) is type(error)
    assert vars(restored) == vars(error)


def test_a_foreign_error_keeps_no_text() -> None:
    refused = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "connect to 10.0.0.7:5432 refused"
    )
    restored = status.error_from_rpc(refused)
    assert isinstance(restored, errors.Unavailable)
    assert restored.reason == "DEPENDENCY_UNAVAILABLE"
    assert "10.0.0.7" not in restored.message


def test_damaged_details_count_as_foreign() -> None:
    trailers = grpc.aio.Metadata((status.DETAILS_KEY, b"\xff\xff\xff"))
    damaged = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers, "x")
    assert status.error_from_rpc(damaged).reason == "INTERNAL"


@pytest.mark.parametrize(
    ("exc", "code", "reason"),
    [
        (asyncpg.SerializationError(), grpc.StatusCode.UNAVAILABLE, "TRANSIENT_STORAGE"),
        (asyncpg.ConnectionDoesNotExistError(), grpc.StatusCode.UNAVAILABLE, "TRANSIENT_STORAGE"),
        (asyncpg.InterfaceError("connection is closed"), grpc.StatusCode.UNAVAILABLE, "TRANSIENT_STORAGE"),
        (asyncpg.InterfaceError("the server expects 2 arguments"), grpc.StatusCode.INTERNAL, "INTERNAL"),
        (asyncpg.InternalClientError("cannot switch to state 15"), grpc.StatusCode.UNAVAILABLE, "TRANSIENT_STORAGE"),
        (asyncpg.UniqueViolationError("secret row"), grpc.StatusCode.INTERNAL, "INTERNAL"),
        (ConnectionRefusedError(), grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"),
        (TimeoutError(), grpc.StatusCode.DEADLINE_EXCEEDED, "DEPENDENCY_UNAVAILABLE"),
        (ValueError("postgresql://user:secret@host"), grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_exceptions_get_a_public_face(exc: Exception, code: grpc.StatusCode, reason: str) -> None:
    error = to_service_error(exc)
    assert (error.code, error.reason) == (code, reason)
    assert "secret" not in error.message


def test_only_passing_conditions_are_retriable() -> None:
    assert errors.Unavailable("DEPENDENCY_UNAVAILABLE", "down").retriable
    assert errors.ResourceExhausted("RATE_LIMITED", "slow down").retriable
    assert not errors.PaymentRequired("INSUFFICIENT_CREDITS", "too few credits").retriable
    assert not errors.Internal("INTERNAL", "internal error").retriable


def _reasons_used() -> set[str]:
    """The first argument of every error raised in services.common."""
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)} - {"FieldViolation"}
    reasons = set()
    for path in COMMON.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in classes:
                reasons |= {str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return reasons


def test_every_reason_used_is_in_the_contract() -> None:
    known = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 - an enum, not a dict
    assert {"TRANSIENT_STORAGE", "CHECKSUM_MISMATCH"} <= _reasons_used() <= known
