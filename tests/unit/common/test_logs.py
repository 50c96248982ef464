"""Logs: one JSON object a line, with ids, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from services.common.telemetry.logs import REDACTED, REQUEST_ID, configure_logging

logger = logging.getLogger("test")
CANARY = "a canary\nin two lines"


@pytest.fixture(autouse=True)
def _restore_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def logged(capsys: pytest.CaptureFixture[str], **fields: object) -> dict[str, object]:
    configure_logging("billing", "INFO")
    logger.info("something happened", extra=fields)
    line: dict[str, object] = json.loads(capsys.readouterr().err)
    return line


def test_a_record_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, job_id="j-1")
    assert line["message"] == "something happened"
    assert (line["level"], line["logger"], line["service"], line["job_id"]) == ("INFO", "test", "billing", "j-1")
    assert "timestamp" in line


@pytest.mark.parametrize(
    "name",
    ["prompt", "negative_prompt", "Authorization", "webhook_secret", "s3_secret_key", "password", "dsn", "token"],
)
def test_secrets_and_prompts_are_blanked(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert logged(capsys, **{name: "a canary"})[name] == REDACTED


def test_figures_and_harmless_names_stay(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, prompt_tokens=17, prompted_at="noon")
    assert (line["prompt_tokens"], line["prompted_at"]) == (17, "noon")


def test_request_and_trace_ids_are_added(capsys: pytest.CaptureFixture[str]) -> None:
    token = REQUEST_ID.set("r-1")
    try:
        with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
            line = logged(capsys)
    finally:
        REQUEST_ID.reset(token)
    assert line["request_id"] == "r-1"
    assert line["trace_id"] == trace.format_trace_id(span.get_span_context().trace_id)


def violation(prompt: str) -> BaseException:
    """What asyncpg raises for a row that a CHECK refuses."""
    fields = {"C": "23514", "M": "violates check", "D": f"Failing row contains ({prompt})."}
    error: BaseException = asyncpg.PostgresError.new(fields)
    assert prompt in str(error)
    return error


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: ExceptionGroup("several", [RuntimeError(), e])])
@pytest.mark.parametrize("raise_from", [True, False])
def test_rows_that_the_database_quotes_are_left_out(
    capsys: pytest.CaptureFixture[str], wrap: Callable[[BaseException], BaseException], raise_from: bool
) -> None:
    configure_logging("billing", "INFO")
    try:
        try:
            raise wrap(violation(CANARY))
        except Exception as exc:
            if not raise_from:
                raise
            message = "a call failed"
            raise RuntimeError(message) from exc
    except Exception:
        logger.exception("something failed")
    text = capsys.readouterr().err
    assert "canary" not in text
    assert "two lines" not in text
    assert "CheckViolationError: violates check" in text
    assert "23514" in text
