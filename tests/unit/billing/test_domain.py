"""Movements balance by construction."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.billing.domain import EntryKind, LedgerAccount, Movement, format_credits


@pytest.mark.parametrize("kind", list(EntryKind))
def test_the_legs_of_every_kind_sum_to_zero(kind: EntryKind) -> None:
    legs = Movement(kind, "ada", Decimal("1.5")).legs
    assert len(legs) == 2
    assert sum(legs.values()) == 0


def test_a_job_moves_credits_from_available_through_held_to_revenue() -> None:
    amount = Decimal(2)
    assert Movement(EntryKind.RESERVE, "ada", amount).legs == {LedgerAccount.AVAILABLE: -2, LedgerAccount.HELD: 2}
    assert Movement(EntryKind.CAPTURE, "ada", amount).legs == {LedgerAccount.HELD: -2, LedgerAccount.REVENUE: 2}
    assert Movement(EntryKind.REFUND, "ada", amount).legs == {LedgerAccount.HELD: -2, LedgerAccount.AVAILABLE: 2}


@pytest.mark.parametrize(
    ("amount", "text"), [("2.0000", "2"), ("1.5000", "1.5"), ("0.0001", "0.0001"), ("100", "100"), ("0.0000", "0")]
)
def test_amounts_are_written_plainly(amount: str, text: str) -> None:
    assert format_credits(Decimal(amount)) == text
