"""Verdicts, settings, and what is kept of a prompt check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from kinemesh.safety.v1 import safety_service_pb2 as pb
from services.common.errors import InvalidArgument
from services.safety import convert
from services.safety.domain import CATEGORIES, CheckType, Verdict, decide
from services.safety.settings import Settings
from services.safety.usecases import CheckPrompt

THRESHOLDS = dict.fromkeys(CATEGORIES, 0.7)


class MemoryAudit:
    """The audit log's behaviour without a database."""

    def __init__(self) -> None:
        self.rows: list[tuple[UUID, CheckType, Verdict]] = []

    async def record(self, request_id: UUID, check_type: CheckType, verdict: Verdict) -> None:
        self.rows.append((request_id, check_type, verdict))

    async def record_once(self, request_id: UUID, check_type: CheckType, verdict: Verdict) -> Verdict:
        before = [row[2] for row in self.rows if row[:2] == (request_id, check_type)]
        if before and before[-1].agrees_with(verdict):
            return before[-1]
        await self.record(request_id, check_type, verdict)
        return verdict


class BombScorer:
    """Knows one word."""

    version = "bomb-1"

    def __call__(self, prompt: str, /) -> Mapping[str, float]:
        return {"weapons": 0.9 if "bomb" in prompt else 0.1, "hate": 0.0}


def test_the_worst_category_decides() -> None:
    verdict = decide({"hate": 0.2, "weapons": 0.7, "violence": 0.95}, THRESHOLDS, "v", 3)
    assert not verdict.passed
    assert verdict.safety_score == 0.95
    assert verdict.flagged == {"weapons": 0.7, "violence": 0.95}
    assert verdict.reason == "The content policy does not allow: graphic violence, instructions for weapons or drugs"


def test_a_category_without_threshold_does_not_pass() -> None:
    with pytest.raises(KeyError):
        decide({"unheard of": 0.0}, THRESHOLDS, "v", 0)


async def test_a_repeated_check_gives_the_recorded_verdict() -> None:
    audit = MemoryAudit()
    check = CheckPrompt(audit, BombScorer(), THRESHOLDS)
    request_id = uuid4()
    first = await check(request_id, "a cat")
    assert await check(request_id, "a cat") is first
    assert len(audit.rows) == 1


async def test_an_id_that_passed_does_not_let_another_prompt_through() -> None:
    audit = MemoryAudit()
    check = CheckPrompt(audit, BombScorer(), THRESHOLDS)
    request_id = uuid4()
    assert (await check(request_id, "a cat")).passed
    assert not (await check(request_id, "a bomb")).passed
    assert [row[2].passed for row in audit.rows] == [True, False]


def settings(**values: Any) -> Settings:
    needed = {"orchestrator_address": "o:1", "postgres_dsn": "postgresql://x", "s3_endpoint_url": "http://x"}
    return Settings.model_validate({**needed, "s3_access_key": "a", "s3_secret_key": "s", **values})


def test_thresholds_left_out_keep_their_default() -> None:
    given = settings(safety_thresholds={"hate": 0.4}).safety_thresholds
    assert given["hate"] == 0.4
    assert set(given) == set(CATEGORIES)


@pytest.mark.parametrize(
    "wrong",
    [{"safety_thresholds": {"fun": 0.5}}, {"safety_thresholds": {"hate": 0}}, {"safety_onnx_model_file": "/x.onnx"}],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


@pytest.mark.parametrize(
    ("prompt", "negative", "field"),
    [
        ("", "", "text_prompt"),
        ("  ", "", "text_prompt"),
        ("x" * 2501, "", "text_prompt"),
        ("x", "y" * 2501, "negative_prompt"),
    ],
)
def test_prompts_out_of_range_are_refused(prompt: str, negative: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        convert.to_prompt(pb.CheckPromptRequest(text_prompt=prompt, negative_prompt=negative))
    assert refusal.value.violations[0].field == field


def test_length_counts_composed_characters() -> None:
    assert convert.to_prompt(pb.CheckPromptRequest(text_prompt="e\u0301" * 2000))
