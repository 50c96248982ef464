"""Categories, thresholds, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TypeAlias
from uuid import UUID

CATEGORIES: Mapping[str, str] = {
    "sexual_minors": "sexual content with minors",
    "sexual": "sexual content",
    "violence": "graphic violence",
    "hate": "hate",
    "self_harm": "self-harm",
    "weapons": "instructions for weapons or drugs",
    "deception": "deception with real persons",
    "photosensitivity": "flashing that may trigger seizures",
}
"""Every category, and how a refusal names it."""
TEXT_CATEGORIES = tuple(name for name in CATEGORIES if name != "photosensitivity")

Scores: TypeAlias = Mapping[str, float]
"""Score by category, 0 (harmless) to 1."""


class CheckType(Enum):
    """When a check is made; the values are those of the audit log."""

    PRE_GEN = "PRE_GEN"
    POST_GEN = "POST_GEN"


@dataclass(frozen=True)
class Verdict:
    """A decision."""

    passed: bool
    safety_score: float
    """The highest category score, 0 to 1, to three digits."""
    flagged: Mapping[str, float]
    """Scores of the categories at or over their thresholds."""
    model_version: str
    """Version of the rules and models that decided."""
    processing_time_ms: int

    @property
    def reason(self) -> str:
        """Why it was refused, for the user; empty when passed."""
        if self.passed:
            return ""
        return "The content policy does not allow: " + ", ".join(CATEGORIES[name] for name in sorted(self.flagged))

    def agrees_with(self, other: Verdict) -> bool:
        """Whether both say the same by the same rules; only the time taken may differ."""
        mine, its = (
            (verdict.passed, verdict.safety_score, dict(verdict.flagged), verdict.model_version)
            for verdict in (self, other)
        )
        return mine == its


@dataclass(frozen=True)
class AuditRecord:
    """A recorded decision."""

    audit_id: UUID
    request_id: UUID
    check_type: CheckType
    verdict: Verdict
    created_at: datetime


def decide(scores: Scores, thresholds: Mapping[str, float], model_version: str, processing_time_ms: int) -> Verdict:
    """Flags every category at or over its threshold; the verdict's score is the highest of all.

    Raises:
        KeyError: A category has no threshold: nobody decided what to do with it, so it must not pass.
    """
    rounded = {name: round(score, 3) for name, score in scores.items()}
    flagged = {name: score for name, score in rounded.items() if score >= thresholds[name]}
    return Verdict(not flagged, max(rounded.values(), default=0.0), flagged, model_version, processing_time_ms)
