"""Money and its movements. Amounts are exact decimals of credits with at most four digits after the point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from uuid import UUID

_QUANTUM = Decimal("0.0001")


class EntryKind(StrEnum):
    """Why credits move."""

    GRANT = "GRANT"
    RESERVE = "RESERVE"
    CAPTURE = "CAPTURE"
    REFUND = "REFUND"


class LedgerAccount(StrEnum):
    """Where credits are."""

    ISSUED = "issued"
    """The source of all credits; its balance is what was ever granted, negative."""
    AVAILABLE = "available"
    """The user's, free to spend."""
    HELD = "held"
    """The user's, set aside for unfinished jobs."""
    REVENUE = "revenue"
    """Spent by the user."""


class ReservationState(StrEnum):
    """What became of a hold."""

    HELD = "HELD"
    SETTLED = "SETTLED"
    RELEASED = "RELEASED"


_ROUTES = {
    EntryKind.GRANT: (LedgerAccount.ISSUED, LedgerAccount.AVAILABLE),
    EntryKind.RESERVE: (LedgerAccount.AVAILABLE, LedgerAccount.HELD),
    EntryKind.CAPTURE: (LedgerAccount.HELD, LedgerAccount.REVENUE),
    EntryKind.REFUND: (LedgerAccount.HELD, LedgerAccount.AVAILABLE),
}


@dataclass(frozen=True)
class Movement:
    """A double-entry transaction: one amount leaves one ledger account and enters another."""

    kind: EntryKind
    user_id: str
    amount: Decimal
    request_id: UUID | None = None
    """The job; None exactly for grants."""
    grant_id: str | None = None
    """The key of a grant; None for jobs and for the credits of a new account."""

    @property
    def legs(self) -> dict[LedgerAccount, Decimal]:
        """Signed amounts by ledger account; they sum to zero."""
        source, target = _ROUTES[self.kind]
        return {source: -self.amount, target: self.amount}


@dataclass(frozen=True)
class Account:
    """A user's balances."""

    user_id: str
    available: Decimal
    held: Decimal
    spent: Decimal


@dataclass(frozen=True)
class Reservation:
    """A hold."""

    request_id: UUID
    user_id: str
    amount: Decimal
    state: ReservationState


@dataclass(frozen=True)
class Settlement:
    """How a job's hold is divided."""

    request_id: UUID
    captured: Decimal
    refunded: Decimal

    @property
    def total(self) -> Decimal:
        """What the hold must be."""
        return self.captured + self.refunded


@dataclass(frozen=True)
class LedgerEntry:
    """One leg as stored."""

    entry_id: int
    transaction_id: UUID
    kind: EntryKind
    account: LedgerAccount
    amount: Decimal
    request_id: UUID | None
    created_at: datetime


@dataclass(frozen=True)
class Audit:
    """The state of the books."""

    imbalance: Decimal
    inconsistent_accounts: int
    unbalanced_jobs: int
    held: Decimal


class UnsettleableError(Exception):
    """A settlement that does not fit the hold it is for; the text says why."""


def round_credits(amount: Decimal) -> Decimal:
    """Rounds half up to four digits after the point."""
    return amount.quantize(_QUANTUM, ROUND_HALF_UP)


def format_credits(amount: Decimal) -> str:
    """Plain decimal text without needless zeros: 2, 1.5, 0.0001."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
