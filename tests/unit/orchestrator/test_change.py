"""Decisions about jobs."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from services.common.errors import FailedPrecondition
from services.orchestrator.domain import change
from services.orchestrator.domain.change import AttemptPolicy
from services.orchestrator.domain.settlement import settle
from services.orchestrator.domain.status import ACTIVE, ADVANCES, TERMINAL, TRANSITIONS, WORKER_STATES, Status
from tests.unit.orchestrator.builders import NOW, make_job

POLICY = AttemptPolicy(max_attempts=3, max_attempts_total=20)
ERROR = ("INFERENCE_FAILED", "it broke")


def test_nothing_leaves_a_terminal_state() -> None:
    assert not [edge for edge in TRANSITIONS if edge[0] in TERMINAL]


def test_everything_active_can_fail_and_be_cancelled_with_a_new_epoch() -> None:
    for status in ACTIVE:
        assert TRANSITIONS[status, Status.FAILED]
        assert TRANSITIONS[status, Status.CANCELLED]


def test_only_workers_states_and_a_move_lead_back() -> None:
    order = list(Status)
    backward = {(start, end) for start, end in TRANSITIONS if order.index(end) < order.index(start)}
    assert backward == {(start, Status.QUEUED) for start in WORKER_STATES} | {(Status.QUEUED, Status.PENDING)}


@pytest.mark.parametrize("edge", sorted(ADVANCES))
def test_every_advance_is_a_legal_edge(edge: tuple[Status, Status]) -> None:
    job = make_job(edge[0])
    assert change.require_edge(job, edge[1]) is edge[1]
    assert edge in TRANSITIONS


@pytest.mark.parametrize("to", [None, Status.COMPLETED, Status.QUEUED, Status.FAILED, Status.GENERATING])
def test_other_advances_are_refused(to: Status | None) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        change.require_edge(make_job(Status.GENERATING), to)
    assert refused.value.reason == "ILLEGAL_TRANSITION"


def test_the_lease_is_kept_inside_a_worker_and_while_uploading() -> None:
    kept = {
        edge for edge in ADVANCES - {(Status.UPLOADING, Status.COMPLETED)}
        if change.advance(make_job(edge[0]), edge[1], "c").lease == "keep"
    }  # fmt: skip
    assert kept == {edge for edge in ADVANCES if edge[1] in WORKER_STATES} | {(Status.TRANSCODING, Status.UPLOADING)}


def test_the_start_is_noted_once() -> None:
    assert change.advance(make_job(Status.ASSIGNED), Status.GENERATING, "c").fields["started_at"] == NOW
    resumed = make_job(Status.ASSIGNED, started_at=NOW - timedelta(minutes=1))
    assert "started_at" not in change.advance(resumed, Status.GENERATING, "c").fields


def test_finished_states_count_as_progress_but_resuming_does_not() -> None:
    assert change.advance(make_job(Status.GENERATING), Status.VAE_DECODING, "c").fields["stalled_attempts"] == 0
    assert "stalled_attempts" not in change.advance(make_job(Status.ASSIGNED), Status.VAE_DECODING, "c").fields


def test_a_failed_attempt_is_counted_and_the_job_queued_again() -> None:
    again = change.retry(make_job(Status.GENERATING, attempts=4, stalled_attempts=1), "c", POLICY, ERROR)
    assert (again.to, again.fields["attempts"], again.fields["stalled_attempts"]) == (Status.QUEUED, 5, 2)
    assert again.lease == "drop"


def test_a_failing_stage_waits_longer_each_time() -> None:
    delays = [
        change.retry(make_job(Status.SAFETY_CHECKING, stalled_attempts=n), "c", POLICY, ERROR).delay_s for n in (0, 1)
    ]
    assert delays == [1.0, 3.0]


@pytest.mark.parametrize(("stalled", "total"), [(2, 2), (0, 19)])
def test_the_last_attempt_ends_the_job_with_full_refund(stalled: int, total: int) -> None:
    job = make_job(Status.GENERATING, stalled_attempts=stalled, attempts=total, current_step=49)
    end = change.retry(job, "c", POLICY, ERROR)
    assert end.to is Status.FAILED
    assert (end.fields["error_code"], end.fields["credits_refunded"]) == ("INFERENCE_FAILED", Decimal("2.0"))


@pytest.mark.parametrize("status", [Status.PENDING, Status.QUEUED])
def test_what_nobody_has_cannot_be_given_back(status: Status) -> None:
    with pytest.raises(FailedPrecondition):
        change.give_back(make_job(status), "c")


def test_a_job_is_blocked_by_our_checks_with_their_score_and_by_a_provider_s_without() -> None:
    assert change.block(make_job(Status.SAFETY_CHECKING), "c", "why", 0.91234).fields["post_gen_safety_score"] == 0.912
    assert "pre_gen_safety_score" in change.block(make_job(Status.ENCODING), "c", "why", 0.9).fields
    assert not {"pre_gen_safety_score", "post_gen_safety_score"} & set(
        change.block(make_job(Status.GENERATING), "c", "why", 1.0).fields
    )
    with pytest.raises(FailedPrecondition):
        change.block(make_job(Status.VAE_DECODING), "c", "why", 0.9)


def _plan(model: str) -> dict[str, object]:
    return {
        "model": model,
        "num_inference_steps": 8,
        "guidance_scale": "2.50",
        "planned_step_ms": 10.0,
        "planned_fixed_s": 1.0,
        "work_limit_s": 7200.0,
    }


def test_a_moved_job_begins_anew_for_its_price_and_keeps_what_its_user_gave() -> None:
    artifacts = {"prompt_embedding_uri": "s3://e", "reference_video": {}, "first_frame": {"uri": "s3://f"}}
    job = make_job(
        Status.QUEUED, model="SORA", fallbacks=[_plan("VEO3"), _plan("REFERENCE"), _plan("WAN")], percent=40,
        artifacts={**artifacts, "operations": [{"operation_id": "x"}]}, current_step=30, started_at=NOW,
    )  # fmt: skip
    moved = change.move(job, "SORA", "REFERENCE", "c")
    assert (moved.to, moved.lease) == (Status.PENDING, "drop")
    fields = moved.fields
    assert (fields["model"], fields["requested_model"], fields["total_steps"]) == ("REFERENCE", "SORA", 8)
    assert fields["artifacts"] == {"first_frame": {"uri": "s3://f"}, "operations": [{"operation_id": "x"}]}
    assert (fields["current_step"], fields["last_checkpoint_step"], fields["percent"]) == (0, 0, 40)
    assert [plan["model"] for plan in fields["fallbacks"]] == ["WAN"]
    assert fields["deadline"] == NOW + timedelta(hours=2)
    assert fields["started_at"] is None
    assert "cost_credits" not in fields


@pytest.mark.parametrize(
    ("status", "model", "to"),
    [(Status.ASSIGNED, "SORA", "REFERENCE"), (Status.QUEUED, "VEO3", "REFERENCE"), (Status.QUEUED, "SORA", "GEN4")],
)
def test_a_job_moves_only_out_of_the_queue_and_where_its_user_allowed(status: Status, model: str, to: str) -> None:
    job = make_job(status, model="SORA", fallbacks=[_plan("REFERENCE")])
    with pytest.raises(FailedPrecondition, match="ILLEGAL_TRANSITION"):
        change.move(job, model, to, "c")


def test_generation_time_runs_from_the_worker_s_start() -> None:
    job = make_job(Status.UPLOADING, started_at=NOW - timedelta(seconds=45))
    assert change.complete(job, "c").fields["generation_time_ms"] == 45_000


@pytest.mark.parametrize("status", sorted(ACTIVE))
@pytest.mark.parametrize("end", sorted(TERMINAL))
@pytest.mark.parametrize("cost", ["0", "0.0001", "2.0", "13.3333"])
def test_captured_and_refunded_are_the_price(status: Status, end: Status, cost: str) -> None:
    job = make_job(status, cost_credits=Decimal(cost), current_step=17, last_checkpoint_step=15)
    division = settle(job, end)
    assert division.captured + division.refunded == Decimal(cost)
    assert min(division.captured, division.refunded) >= 0


@pytest.mark.parametrize(
    ("status", "changes", "refunded"),
    [
        (Status.PENDING, {}, "2.0"),
        (Status.QUEUED, {}, "2.0"),
        (Status.ASSIGNED, {}, "2.0"),
        (Status.GENERATING, {"current_step": 25, "last_checkpoint_step": 20}, "1.1"),
        (Status.QUEUED, {"current_step": 25, "last_checkpoint_step": 20}, "1.28"),
        (Status.QUEUED, {"artifacts": {"latents": {}}}, "0.2"),
        (Status.VAE_DECODING, {}, "0.2"),
        (Status.UPLOADING, {}, "0.02"),
    ],
)
def test_cancelling_refunds_the_undone_share(status: Status, changes: dict[str, object], refunded: str) -> None:
    assert settle(make_job(status, **changes), Status.CANCELLED).refunded == Decimal(refunded)
