"""The whole service: accounts, holds, settlement, audit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.protobuf import json_format

from kinemesh.billing.v1 import billing_service_pb2 as pb
from kinemesh.orchestrator.v1 import job_events_pb2, job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import ServiceError
from services.common.rpc.client import error_from_rpc
from tests.integration.billing.conftest import Billing
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


def _reserve(request_id: str, amount: str = "2", user_id: str = "ada") -> pb.ReserveRequest:
    return pb.ReserveRequest(request_id=request_id, user_id=user_id, amount_credits=amount)


async def _account(billing: Billing, user_id: str = "ada") -> tuple[float, float, float]:
    response = await billing.accounts.GetAccount(pb.GetAccountRequest(), metadata=(("x-user-id", user_id),))
    return response.available_credits, response.held_credits, response.spent_credits


async def _refusal(call: Coroutine[Any, Any, Any] | Any) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return error_from_rpc(raised.value)


async def _publish(billing: Billing, request_id: str, captured: str, refunded: str, event_id: str = "") -> None:
    event = job_events_pb2.JobStateChanged(
        event_id=event_id or str(uuid4()),
        request_id=request_id,
        status=video_pb2.VIDEO_STATUS_COMPLETED,
        settlement=job_events_pb2.Settlement(captured_credits=captured, refunded_credits=refunded),
    )
    body = json_format.MessageToJson(event, preserving_proto_field_name=True).encode()
    # The message id differs, so that the broker's own memory of ids does not hide a repetition.
    await billing.jetstream.publish("job.events.completed", body, str(uuid4()))


async def _assert_balanced(billing: Billing) -> None:
    audit = await billing.billing.AuditLedger(pb.AuditLedgerRequest())
    assert (audit.imbalance_credits, audit.inconsistent_accounts, audit.unbalanced_jobs) == ("0", 0, 0)


async def test_a_new_user_gets_the_initial_credits_once(billing: Billing) -> None:
    assert await asyncio.gather(*(_account(billing) for _ in range(10))) == [(10, 0, 0)] * 10
    entries = (await billing.billing.ListLedgerEntries(pb.ListLedgerEntriesRequest(user_id="ada"))).entries
    assert [(e.account, e.amount_credits, e.kind) for e in entries] == [
        ("available", "10", pb.ENTRY_KIND_GRANT),
        ("issued", "-10", pb.ENTRY_KIND_GRANT),
    ]


async def test_the_account_is_the_callers(billing: Billing) -> None:
    error = await _refusal(billing.accounts.GetAccount(pb.GetAccountRequest()))
    assert error.reason == "UNAUTHENTICATED"


async def test_a_quote_has_the_price(billing: Billing) -> None:
    config = video_pb2.GenerationConfig(
        model=video_pb2.MODEL_REFERENCE, duration_seconds=10, resolution=video_pb2.RESOLUTION_1080P
    )
    quote = await billing.billing.Quote(pb.QuoteRequest(tier=video_pb2.TIER_STANDARD, config=config))
    assert (quote.cost_credits, quote.video_seconds, quote.tier_multiplier) == ("2", 10, 1)


async def test_reserving_is_idempotent(billing: Billing) -> None:
    request_id = str(uuid4())
    answers = await asyncio.gather(*(billing.billing.Reserve(_reserve(request_id)) for _ in range(10)))
    assert {answer.available_credits for answer in answers} == {"8"}
    assert await _account(billing) == (8, 2, 0)
    await _assert_balanced(billing)


async def test_another_amount_for_the_same_job_is_refused(billing: Billing) -> None:
    request_id = str(uuid4())
    await billing.billing.Reserve(_reserve(request_id))
    for other in (_reserve(request_id, "3"), _reserve(request_id, user_id="eve")):
        assert (await _refusal(billing.billing.Reserve(other))).reason == "RESERVATION_MISMATCH"
    assert await _account(billing) == (8, 2, 0)


async def test_of_fifty_parallel_holds_with_credit_for_one_exactly_one_succeeds(billing: Billing) -> None:
    calls = [billing.billing.Reserve(_reserve(str(uuid4()), "6")) for _ in range(50)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [error_from_rpc(o) for o in outcomes if isinstance(o, grpc.aio.AioRpcError)]
    assert {(e.reason, e.http_code) for e in refusals} == {("INSUFFICIENT_CREDITS", 402)}
    assert len(refusals) == 49
    assert refusals[0].metadata == {"required": "6", "available": "4"}
    assert await _account(billing) == (4, 6, 0)
    await _assert_balanced(billing)


async def test_a_released_hold_comes_back_once_and_stays_released(billing: Billing) -> None:
    request_id = str(uuid4())
    await billing.billing.Reserve(_reserve(request_id))
    release = pb.ReleaseReservationRequest(request_id=request_id)
    for _ in range(2):
        assert (await billing.billing.ReleaseReservation(release)).available_credits == "10"
    assert (await _refusal(billing.billing.Reserve(_reserve(request_id)))).reason == "RESERVATION_MISMATCH"
    await _assert_balanced(billing)


async def test_releasing_an_unknown_hold_says_so(billing: Billing) -> None:
    call = billing.billing.ReleaseReservation(pb.ReleaseReservationRequest(request_id=str(uuid4())))
    assert (await _refusal(call)).reason == "RESOURCE_NOT_FOUND"


async def test_a_terminal_event_settles_once_however_often_it_comes(billing: Billing) -> None:
    request_id, event_id = str(uuid4()), str(uuid4())
    await billing.billing.Reserve(_reserve(request_id))
    for _ in range(3):
        await _publish(billing, request_id, "0.5", "1.5", event_id)

    async def settled() -> bool:
        return await _account(billing) == (9.5, 0, 0.5)

    await eventually(settled)
    last = str(uuid4())
    await billing.billing.Reserve(_reserve(last, "1"))
    await _publish(billing, last, "1", "0")

    async def last_settled() -> bool:
        return await _account(billing) == (8.5, 0, 1.5)

    await eventually(last_settled)
    await _assert_balanced(billing)


async def test_a_settlement_that_does_not_fit_the_hold_is_set_aside(billing: Billing) -> None:
    request_id = str(uuid4())
    await billing.billing.Reserve(_reserve(request_id))
    await _publish(billing, request_id, "2", "1")

    async def buried() -> bool:
        info = await billing.jetstream.client.jetstream().stream_info("job_events_dead")
        return info.state.messages >= 1

    await eventually(buried)
    assert await _account(billing) == (8, 2, 0)


async def test_a_lost_event_is_made_up_for_by_asking_the_orchestrator(billing: Billing) -> None:
    request_id = str(uuid4())
    job = job_service_pb2.Job()
    job.request.request_id = request_id
    job.request.billing.captured_credits, job.request.billing.refunded_credits = "0", "2"
    job.request.completed_at.GetCurrentTime()
    billing.jobs.jobs[request_id] = job
    await billing.billing.Reserve(_reserve(request_id))

    async def refunded() -> bool:
        return await _account(billing) == (10, 0, 0)

    await eventually(refunded)
    await _assert_balanced(billing)


async def test_a_grant_counts_once(billing: Billing) -> None:
    grant = pb.GrantCreditsRequest(grant_id="gift-1", user_id="bob", amount_credits="5.25")
    answers = await asyncio.gather(*(billing.billing.GrantCredits(grant) for _ in range(5)))
    assert {a.account.available_credits for a in answers} == {"15.25"}
    grant.amount_credits = "6"
    assert (await _refusal(billing.billing.GrantCredits(grant))).reason == "IDEMPOTENCY_KEY_REUSED"


async def test_the_ledger_is_paged_newest_first(billing: Billing) -> None:
    for number in range(3):
        await billing.billing.GrantCredits(
            pb.GrantCreditsRequest(grant_id=f"page-{number}", user_id="cleo", amount_credits=str(number + 1))
        )
    seen, token = [], ""
    while True:
        request = pb.ListLedgerEntriesRequest(user_id="cleo", page_size=3, page_token=token)
        page = await billing.billing.ListLedgerEntries(request)
        seen += [Decimal(entry.amount_credits) for entry in page.entries if entry.account == "available"]
        token = page.next_page_token
        if not token:
            break
    assert seen == [3, 2, 1, 10]


async def test_the_audit_finds_a_balance_changed_behind_the_ledgers_back(billing: Billing) -> None:
    await billing.billing.Reserve(_reserve(str(uuid4())))
    await billing.database.execute("UPDATE accounts SET available = available + 1 WHERE user_id = 'ada'")
    await billing.database.execute("UPDATE reservations SET amount = amount + 1")
    audit = await billing.billing.AuditLedger(pb.AuditLedgerRequest())
    assert (audit.inconsistent_accounts, audit.unbalanced_jobs, audit.held_credits) == (1, 1, "3")


async def test_the_database_refuses_an_unbalanced_transaction(billing: Billing) -> None:
    await _account(billing)
    insert = """
        WITH t AS (INSERT INTO ledger_transactions (kind) VALUES ('GRANT') RETURNING transaction_id)
        INSERT INTO ledger_entries (transaction_id, user_id, account, amount)
        SELECT transaction_id, 'ada', account, amount FROM t, unnest($1::text[], $2::numeric[]) AS l (account, amount)
    """
    with pytest.raises(asyncpg.CheckViolationError, match="sum to"):
        await billing.database.execute(insert, ["issued", "available"], [Decimal(-1), Decimal(2)])
    with pytest.raises(asyncpg.CheckViolationError, match="sum to"):
        await billing.database.execute(insert, ["available"], [Decimal(2)])


async def test_the_ledger_is_append_only(billing: Billing) -> None:
    await _account(billing)
    with pytest.raises(asyncpg.CheckViolationError, match="append-only"):
        await billing.database.execute("UPDATE ledger_entries SET amount = amount * 2")
    with pytest.raises(asyncpg.CheckViolationError, match="append-only"):
        await billing.database.execute("DELETE FROM ledger_transactions")
