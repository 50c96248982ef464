"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "fault", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    check: str
    """What was looked at."""
    verdict: Verdict
    detail: str
    """What was seen."""
    remedy: str = ""
    """What to do about it; empty where nothing is wrong."""


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", detail)


def fault(check: str, detail: str, remedy: str) -> Finding:
    """The mesh cannot work like this."""
    return Finding(check, "fault", detail, remedy)


def warning(check: str, detail: str, remedy: str) -> Finding:
    """The mesh can work, but not for long or not well."""
    return Finding(check, "warning", detail, remedy)


def skipped(check: str, detail: str) -> Finding:
    """Could not be looked at, for a reason found elsewhere."""
    return Finding(check, "skipped", detail)
