"""What is wrong with a request, collected field by field, and the readers that its fields share."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection
from decimal import Decimal
from typing import Literal, TypeAlias

from kinemesh.video.v1 import video_service_pb2
from services.common.catalogue import Catalogue
from services.common.errors import FieldViolation, InvalidArgument
from services.common.formats import MAX_PROMPT

Request: TypeAlias = video_service_pb2.CreateVideoRequest
Number: TypeAlias = Literal[
    "duration_seconds", "num_inference_steps", "guidance_scale", "priority", "reference_strength"
]
_CENT = Decimal("0.01")


class Findings:
    """Collects violations, each with the reason of its kind."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []
        self.reasons: set[str] = set()

    def add(self, field: str, description: str, reason: str = "INVALID_FIELD") -> None:
        """Adds a violation."""
        self.violations.append(FieldViolation(field, description))
        self.reasons.add(reason)

    def raise_if_any(self, catalogue: Catalogue) -> None:
        """The reason is the violations' common one, INVALID_FIELD when they differ."""
        if not self.violations:
            return
        error = InvalidArgument.of_fields(
            *self.violations, reason=self.reasons.pop() if len(self.reasons) == 1 else "INVALID_FIELD"
        )
        if any(v.field == "model" for v in self.violations):
            error.metadata["deployed"] = ", ".join(sorted(catalogue.models))
        raise error


def clean_text(text: str) -> str | None:
    """NFC; None for text that cannot be stored: NUL and lone surrogates."""
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        return None
    return unicodedata.normalize("NFC", text)


def read_text(findings: Findings, field: str, value: str, *, required: bool = False) -> str:
    """A text in NFC; empty when it is wrong beyond its length."""
    text = clean_text(value)
    if text is None:
        findings.add(field, "must not contain NUL or lone surrogates")
        return ""
    if len(text) > MAX_PROMPT:
        findings.add(field, f"must have at most {MAX_PROMPT} code points, has {len(text)}")
    if required and not text.strip():
        findings.add(field, "must not be empty")
    return text


def read_number(findings: Findings, request: Request, field: Number, default: float, low: float, high: float) -> float:
    """A number within bounds, the default when it is absent or wrong."""
    # proto3 `optional`: what is absent is not 0.
    if not request.HasField(field):
        return default
    value: float = getattr(request, field)
    if math.isnan(value) or not low <= value <= high:
        findings.add(field, f"must be between {low:g} and {high:g}")
        return default
    return value


def to_cents(value: float) -> Decimal:
    """A number with two digits after the point."""
    return Decimal(str(value)).quantize(_CENT)


def read_choice(findings: Findings, field: str, value: str, choices: Collection[str]) -> str:
    """One of the choices, or else what was given."""
    if value not in choices:
        findings.add(field, f"must be one of {', '.join(choices)}")
    return value
