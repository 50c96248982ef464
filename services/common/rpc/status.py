"""ServiceError to and from what gRPC carries: status, google.rpc details, and the JSON body for the gateway."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from services.common import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

DOMAIN = "kinemesh"
DETAILS_KEY = "grpc-status-details-bin"
HTTP_CODE_KEY = "x-http-code"
JSON_KEY = "x-error-json"
RETRY_AFTER_KEY = "retry-after"
# gRPC clients refuse more than 8 KiB of trailers, so details are cut rather than lost.
_MAX_VIOLATIONS = 10
_MAX_TEXT = 300
_MAX_DETAIL = 200


def status_proto(error: errors.ServiceError) -> status_pb2.Status:
    """Builds google.rpc.Status with ErrorInfo and, where there is content, BadRequest and RetryInfo."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message[:_MAX_TEXT])
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def json_body(error: errors.ServiceError, request_id: str) -> str:
    """Builds the one JSON error shape, as ASCII on one line."""
    body = {"error": error.title, "reason": error.message[:_MAX_TEXT], "code": error.reason, "request_id": request_id}
    if error.status is not None:
        body["status"] = error.status
    return json.dumps(body)


def trailers(error: errors.ServiceError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Builds the trailing metadata of an aborted call."""
    wait = () if error.retry_after_s is None else ((RETRY_AFTER_KEY, str(math.ceil(error.retry_after_s))),)
    return (
        (DETAILS_KEY, status_proto(error).SerializeToString()),
        (HTTP_CODE_KEY, str(error.http_code)),
        (JSON_KEY, json_body(error, request_id)),
        *wait,
    )


def error_from_rpc(rpc_error: grpc.aio.AioRpcError) -> errors.ServiceError:
    """Restores the ServiceError that a Kinemesh service answered.

    An answer without our ErrorInfo (connection refused, deadline, foreign server) becomes an error with a fixed text,
    so that no address or internal text passes on. The original stays as `__cause__` when raised `from` it.
    """
    found = _trailers_of(rpc_error)
    info, violations, retry_after_s = _parse_details(found.get(DETAILS_KEY, b""))
    if info is None:
        return _foreign(rpc_error.code())
    body = _parse_json(found.get(JSON_KEY, "{}"))
    cls = _error_class(rpc_error.code(), str(found.get(HTTP_CODE_KEY, "")))
    error = cls(
        info.reason,
        rpc_error.details() or "",
        title=body.get("error"),
        status=body.get("status"),
        violations=violations,
        retry_after_s=retry_after_s,
    )
    error.metadata = dict(info.metadata)
    return error


def _details(
    error: errors.ServiceError,
) -> Iterator[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo]:
    metadata = {key: value[:_MAX_DETAIL] for key, value in error.metadata.items()}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    if error.violations:
        yield error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(
                    field=v.field[:_MAX_DETAIL], description=v.description[:_MAX_DETAIL]
                )
                for v in error.violations[:_MAX_VIOLATIONS]
            ]
        )
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        yield error_details_pb2.RetryInfo(retry_delay=delay)


def _trailers_of(rpc_error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    return dict(rpc_error.trailing_metadata() or ())


def _parse_details(
    raw: str | bytes,
) -> tuple[error_details_pb2.ErrorInfo | None, list[errors.FieldViolation], float | None]:
    status = status_pb2.Status()
    try:
        status.ParseFromString(raw if isinstance(raw, bytes) else b"")
        return _read_details(list(status.details))
    except DecodeError:
        return None, [], None


def _read_details(
    details: list[AnyProto],
) -> tuple[error_details_pb2.ErrorInfo | None, list[errors.FieldViolation], float | None]:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    has_retry = False
    for detail in details:
        detail.Unpack(info)
        detail.Unpack(bad)
        has_retry = detail.Unpack(retry) or has_retry
    violations = [errors.FieldViolation(v.field, v.description) for v in bad.field_violations]
    retry_after_s = retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None
    return (info if info.domain == DOMAIN else None), violations, retry_after_s


def _parse_json(raw: str | bytes) -> dict[str, str]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error_class(code: grpc.StatusCode, http_code: str) -> type[errors.ServiceError]:
    candidates = [cls for cls in _subclasses(errors.ServiceError) if cls.code is code]
    exact = [cls for cls in candidates if str(cls.http_code) == http_code]
    return (exact or candidates or [errors.Internal])[0]


def _subclasses(cls: type[errors.ServiceError]) -> Iterator[type[errors.ServiceError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _foreign(code: grpc.StatusCode) -> errors.ServiceError:
    cls = _error_class(code, "")
    if issubclass(cls, errors.Unavailable | errors.DeadlineExceeded | errors.ResourceExhausted | errors.Cancelled):
        return cls("DEPENDENCY_UNAVAILABLE", "a service this one needs did not answer")
    return errors.Internal("INTERNAL", "a service this one needs failed")
