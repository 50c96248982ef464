"""Ids and page tokens, which clients send."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidArgument
from services.orchestrator.domain.status import Status
from services.orchestrator.usecases.reading import page_token, parse_id, read_page_token
from tests.unit.orchestrator.builders import make_job

ID = "550e8400-e29b-41d4-a716-446655440000"


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def test_a_token_leads_back_to_its_job_to_the_microsecond() -> None:
    job = make_job(Status.PENDING, created_at=datetime(2026, 1, 28, 10, 30, 25, 123457, tzinfo=UTC))
    cursor = read_page_token(page_token(job))
    assert cursor is not None
    assert (cursor.created_at, cursor.request_id) == (job.created_at, job.request_id)


def test_no_token_is_the_first_page() -> None:
    assert read_page_token("") is None


@pytest.mark.parametrize(
    "token",
    ["%%%", "é", encoded("[" * 100_000), encoded(f"-5.{ID}"), encoded(f"{'9' * 18}.{ID}"), encoded("5." + "-" * 36),
     encoded(f"5.{ID}x"), encoded('["0001-01-01T00:00:00+14:00", "x"]'), base64.b64encode(b"\xff").decode()],
)  # fmt: skip
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_page_token(token)
    assert [violation.field for violation in refused.value.violations] == ["page_token"]


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_token_is_read_or_refused(token: str) -> None:
    try:
        read_page_token(token)
    except InvalidArgument as exc:
        assert exc.http_code == 400


def test_the_greatest_token_is_still_a_date() -> None:
    cursor = read_page_token(encoded(f"{'9' * 17}.{ID}"))
    assert cursor is not None
    assert cursor.created_at.year == 5138


@pytest.mark.parametrize(
    "text", ["", "x", ID[:-1], ID + "0", f"{{{ID}}}", f"urn:uuid:{ID}", ID + "\n", ID.replace("-", "")]
)
def test_ids_are_canonical_uuids(text: str) -> None:
    assert parse_id(ID.upper()) == parse_id(ID)
    assert parse_id(text) is None
