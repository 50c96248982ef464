"""JSON logs, one object a line on standard error, with the request's and the trace's ids."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from numbers import Number
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request being served: logged with every record and sent along with every outgoing call."""

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"(^|_)(prompt|authorization|cookie|secret|password|token|dsn|credentials?|api_key|access_key|private_key)(_|$)",
    re.IGNORECASE,
)
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({})))


class RedactionFilter(logging.Filter):
    """Blanks extra fields whose name says that they hold a secret or a prompt; figures (token counts) may stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record in place; never drops it."""
        for name, value in vars(record).items():
            if name not in _STANDARD_FIELDS and _SECRET_NAME.search(name) and not isinstance(value, Number):
                setattr(record, name, REDACTED)
        return True


class ContextFilter(logging.Filter):
    """Adds request_id, trace_id and span_id where there are any."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record in place; never drops it."""
        if REQUEST_ID.get() and not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            record.trace_id = trace.format_trace_id(span.trace_id)
            record.span_id = trace.format_span_id(span.span_id)
        return True


class RowlessFormatter(JsonFormatter):
    """Leaves out of tracebacks what PostgreSQL tells of rows: the text of its errors quotes them, prompts and all."""

    def formatException(self, ei: Any) -> str | list[str]:  # type: ignore[override]  # noqa: N802 - as its base
        """Formats an exception with its causes; of a database error remain class, SQLSTATE and message."""
        for exc in _chain(ei[1]):
            sqlstate = getattr(exc, "sqlstate", None)
            if sqlstate and getattr(exc, "detail", None):
                # asyncpg composes the text anew from this attribute, which nobody else reads.
                exc.detail = f"{REDACTED} (SQLSTATE {sqlstate})"  # type: ignore[attr-defined]
        return super().formatException(ei)


def _chain(first: BaseException | None) -> Iterator[BaseException]:
    """An exception with all that a traceback shows beside it: causes, contexts and the members of groups."""
    waiting, seen = [first], set[int]()
    while waiting:
        exc = waiting.pop()
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        yield exc
        waiting += [exc.__cause__, exc.__context__, *(exc.exceptions if isinstance(exc, BaseExceptionGroup) else ())]


def configure_logging(service: str, level: str) -> None:
    """Replaces the root logger's handlers by the JSON one."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        RowlessFormatter(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            static_fields={"service": service},
            timestamp=True,
        )
    )
    handler.addFilter(RedactionFilter())
    handler.addFilter(ContextFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These narrate every request at INFO, with URLs that may be presigned.
    for chatty in ("botocore", "boto3", "urllib3", "s3transfer", "httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
