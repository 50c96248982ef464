"""Between protobuf and the safety service's own types."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from kinemesh.safety.v1 import safety_service_pb2 as pb
from services.common.errors import InvalidArgument
from services.common.formats import MAX_STYLED_PROMPT
from services.common.storage import ObjectRef
from services.safety.domain import AuditRecord, CheckType, Verdict

_SHA256_DIGITS = 64
_CHECK_TYPES = {CheckType.PRE_GEN: pb.CHECK_TYPE_PRE_GEN, CheckType.POST_GEN: pb.CHECK_TYPE_POST_GEN}


def to_request_id(text: str) -> UUID:
    """Parses a job's id."""
    try:
        return UUID(text)
    except ValueError as exc:
        raise InvalidArgument.of_field("request_id", "must be a UUID") from exc


def to_prompt(request: pb.CheckPromptRequest) -> str:
    """Returns the prompt to judge; of the negative prompt only the length is checked."""
    for field, text in (("text_prompt", request.text_prompt), ("negative_prompt", request.negative_prompt)):
        if len(unicodedata.normalize("NFC", text)) > MAX_STYLED_PROMPT:
            raise InvalidArgument.of_field(field, f"must have at most {MAX_STYLED_PROMPT} characters")
    if not request.text_prompt.strip():
        raise InvalidArgument.of_field("text_prompt", "must not be empty")
    return request.text_prompt


def to_object(field: str, uri: str, sha256: str) -> tuple[ObjectRef, str]:
    """Checks a reference to an object, whose location is in the named field."""
    if len(sha256) != _SHA256_DIGITS or set(sha256) - set("0123456789abcdef"):
        raise InvalidArgument.of_field("sha256", "must be 64 lower-case hexadecimal digits")
    try:
        return ObjectRef.parse(uri), sha256
    except ValueError as exc:
        raise InvalidArgument.of_field(field, str(exc)) from exc


def from_verdict(verdict: Verdict) -> pb.Verdict:
    """Describes a decision."""
    return pb.Verdict(
        passed=verdict.passed,
        safety_score=verdict.safety_score,
        flagged_categories=verdict.flagged,
        reason=verdict.reason,
        model_version=verdict.model_version,
        processing_time_ms=verdict.processing_time_ms,
    )


def from_records(records: Iterable[AuditRecord]) -> pb.ListAuditRecordsResponse:
    """Lists decisions."""
    return pb.ListAuditRecordsResponse(records=[_from_record(record) for record in records])


def _from_record(record: AuditRecord) -> pb.AuditRecord:
    created_at = Timestamp()
    created_at.FromDatetime(record.created_at)
    return pb.AuditRecord(
        audit_id=str(record.audit_id),
        request_id=str(record.request_id),
        check_type=_CHECK_TYPES[record.check_type],
        verdict=from_verdict(record.verdict),
        created_at=created_at,
    )
