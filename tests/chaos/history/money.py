"""I4 and I5: what was paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from tests.chaos.history.model import History, Hold, Posting

_ZERO = Decimal(0)
_COLUMNS = {"available": "available", "held": "held", "spent": "revenue"}
"""The ledger account that each column of `accounts` sums up."""


def every_credit_is_accounted_for(history: History) -> Iterator[str]:
    """I4."""
    yield from _transactions_balance(history)
    yield from _accounts_agree(history)
    by_job: defaultdict[str | None, list[Posting]] = defaultdict(list)
    for posting in history.postings:
        by_job[posting.request_id].append(posting)
    for hold in history.holds:
        yield from _hold_is_divided(hold, by_job[hold.request_id])
    holds = {hold.request_id: hold.amount for hold in history.holds}
    for job in history.jobs:
        if holds.get(job.request_id) != job.cost:
            yield f"{job.request_id} costs {job.cost}, held was {holds.get(job.request_id)}"
    jobs = {job.request_id for job in history.jobs}
    for hold in history.holds:
        if hold.request_id not in jobs and hold.refunded != hold.amount:
            yield f"{hold.request_id} never became a job and cost {hold.captured}"


def _transactions_balance(history: History) -> Iterator[str]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for posting in history.postings:
        sums[posting.transaction] += posting.amount
    for transaction, total in sums.items():
        if total != 0:
            yield f"transaction {transaction} sums to {total}"


def _accounts_agree(history: History) -> Iterator[str]:
    for account in history.accounts:
        for column, name in _COLUMNS.items():
            entered = sum((p.amount for p in history.postings if (p.user, p.account) == (account.user, name)), _ZERO)
            if getattr(account, column) != entered:
                yield f"{account.user} has {column} {getattr(account, column)}, the ledger says {entered}"
        if account.held != 0:
            yield f"{account.user} has {account.held} held at rest"


def _hold_is_divided(hold: Hold, postings: list[Posting]) -> Iterator[str]:
    if hold.captured is None or hold.refunded is None or hold.captured + hold.refunded != hold.amount:
        yield f"{hold.request_id}: {hold.amount} held, {hold.captured} captured, {hold.refunded} refunded"
        return
    parts = {"RESERVE": hold.amount, "CAPTURE": -hold.captured, "REFUND": -hold.refunded}
    for kind, expected in parts.items():
        entered = [posting.amount for posting in postings if (posting.kind, posting.account) == (kind, "held")]
        if entered != ([expected] if expected else []):
            yield f"{hold.request_id}: {kind} should be {expected} of what is held, the ledger has {entered}"


def only_what_is_due_is_captured(history: History) -> Iterator[str]:
    """I5: once, and in full only for COMPLETED."""
    holds = {hold.request_id: hold for hold in history.holds}
    for job in history.jobs:
        hold = holds.get(job.request_id)
        captured = hold.captured if hold else None
        due = {"COMPLETED": captured == job.cost, "CANCELLED": captured is not None and captured < job.cost}
        if not due.get(job.status, captured == 0):
            yield f"{job.request_id} is {job.status}, {captured} of {job.cost} was captured"
        if job.used != captured:
            yield f"{job.request_id} says {job.used} was used, {captured} was captured"


def clients_are_told_what_they_get_back(history: History) -> Iterator[str]:
    """I5, cancellations: the same refund in every answer, and it is the one that is booked."""
    refunds = {hold.request_id: hold.refunded for hold in history.holds}
    for cancel in history.cancels:
        if cancel.status == 200 and cancel.refunded != refunds.get(cancel.request_id):
            yield f"{cancel.request_id}: {cancel.refunded} promised, {refunds.get(cancel.request_id)} refunded"
    ended = {job.request_id: job.status for job in history.jobs}
    for cancel in history.cancels:
        if (cancel.status == 200) != (ended.get(cancel.request_id) == "CANCELLED") and cancel.status in {200, 409}:
            yield f"{cancel.request_id} is {ended.get(cancel.request_id)}, DELETE was answered {cancel.status}"
