"""Every SQL string of billing. Rows are locked in one order, reservation before account, so that nothing deadlocks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from services.billing.domain import (
    Account,
    Audit,
    EntryKind,
    LedgerAccount,
    LedgerEntry,
    Movement,
    Reservation,
    ReservationState,
    Settlement,
)
from services.common.postgres import Connection, Pool

if TYPE_CHECKING:
    import asyncpg

_OPEN = "INSERT INTO accounts (user_id) VALUES ($1) ON CONFLICT DO NOTHING"
_ACCOUNT = "SELECT user_id, available, held, spent FROM accounts WHERE user_id = $1"
# Balances, transaction and legs at once; nothing at all when too little is available.
_POST = """
WITH moved AS (
    UPDATE accounts SET available = available + $2, held = held + $3, spent = spent + $4, updated_at = clock_timestamp()
    WHERE user_id = $1 AND available + $2 >= 0
    RETURNING user_id, available, held, spent
), entered AS (
    INSERT INTO ledger_transactions (kind, request_id, grant_id) SELECT $5, $6::uuid, $7 FROM moved
    RETURNING transaction_id
), legs AS (
    INSERT INTO ledger_entries (transaction_id, user_id, account, amount)
    SELECT transaction_id, $1, account, amount
    FROM entered, unnest($8::text[], $9::numeric[]) WITH ORDINALITY AS leg (account, amount, place) ORDER BY place
)
SELECT * FROM moved
"""
_LOCK_GRANT = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_GRANT = """
SELECT user_id, amount FROM ledger_transactions JOIN ledger_entries USING (transaction_id)
WHERE grant_id = $1 AND account = 'available'
"""
_HOLD = "INSERT INTO reservations (request_id, user_id, amount) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_RESERVATION = "SELECT request_id, user_id, amount, state FROM reservations WHERE request_id = $1 FOR UPDATE"
_END = """
UPDATE reservations SET state = $2, captured = $3, refunded = $4, ended_at = clock_timestamp() WHERE request_id = $1
"""
_CLAIM_UNSETTLED = """
UPDATE reservations SET checked_at = clock_timestamp() WHERE request_id IN (
    SELECT request_id FROM reservations
    WHERE state = 'HELD' AND checked_at < clock_timestamp() - make_interval(secs => $1)
    ORDER BY checked_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING request_id
"""
_ENTRIES = """
SELECT entry_id, transaction_id, kind, account, amount, request_id, created_at
FROM ledger_entries JOIN ledger_transactions USING (transaction_id)
WHERE user_id = $1 AND entry_id < $2 ORDER BY entry_id DESC LIMIT $3
"""
# From the entries alone, so that a balance or a reservation changed behind the ledger's back is found.
_AUDIT = """
WITH by_user AS (
    SELECT user_id,
        coalesce(sum(amount) FILTER (WHERE account = 'available'), 0) AS available,
        coalesce(sum(amount) FILTER (WHERE account = 'held'), 0) AS held,
        coalesce(sum(amount) FILTER (WHERE account = 'revenue'), 0) AS spent
    FROM ledger_entries GROUP BY user_id),
by_job AS (
    SELECT request_id, user_id,
        coalesce(sum(amount) FILTER (WHERE kind = 'RESERVE'), 0) AS reserved,
        coalesce(-sum(amount) FILTER (WHERE kind IN ('CAPTURE', 'REFUND')), 0) AS ended
    FROM ledger_entries JOIN ledger_transactions USING (transaction_id)
    WHERE account = 'held' GROUP BY request_id, user_id)
SELECT
    (SELECT coalesce(sum(amount), 0) FROM ledger_entries) AS imbalance,
    (SELECT count(*) FROM accounts a LEFT JOIN by_user b USING (user_id)
     WHERE (a.available, a.held, a.spent)
        <> (coalesce(b.available, 0), coalesce(b.held, 0), coalesce(b.spent, 0))) AS inconsistent_accounts,
    (SELECT count(*) FROM reservations r LEFT JOIN by_job j USING (request_id, user_id)
     WHERE r.amount <> coalesce(j.reserved, 0)
        OR coalesce(j.ended, 0) <> CASE r.state WHEN 'HELD' THEN 0 ELSE r.amount END) AS unbalanced_jobs,
    (SELECT coalesce(sum(amount), 0) FROM reservations WHERE state = 'HELD') AS held
"""


async def open_account(connection: Connection, user_id: str) -> bool:
    """Opens an empty account; returns whether it is new."""
    return await connection.execute(_OPEN, user_id) == "INSERT 0 1"


async def get_account(connection: Connection, user_id: str) -> Account:
    """Reads an account that is known to exist."""
    row = await connection.fetchrow(_ACCOUNT, user_id)
    if row is None:
        raise LookupError(user_id)
    return Account(**row)


async def post(connection: Connection, movement: Movement) -> Account | None:
    """Enters a movement into the ledger and the user's balances; None, and no effect, when too little is available."""
    legs = movement.legs
    deltas = [legs.get(a, 0) for a in (LedgerAccount.AVAILABLE, LedgerAccount.HELD, LedgerAccount.REVENUE)]
    row = await connection.fetchrow(
        _POST,
        movement.user_id,
        *deltas,
        movement.kind,
        movement.request_id,
        movement.grant_id,
        list(legs),
        list(legs.values()),
    )
    return None if row is None else Account(**row)


async def lock_grant(connection: Connection, grant_id: str) -> None:
    """Waits for other transactions with the same grant id, and makes them wait for this one."""
    await connection.execute(_LOCK_GRANT, grant_id)


async def find_grant(connection: Connection, grant_id: str) -> Movement | None:
    """Reads a grant by its key."""
    row = await connection.fetchrow(_GRANT, grant_id)
    if row is None:
        return None
    return Movement(EntryKind.GRANT, row["user_id"], row["amount"], grant_id=grant_id)


async def add_reservation(connection: Connection, reservation: Reservation) -> bool:
    """Notes a hold; returns whether it is new. Waits for a concurrent transaction that notes the same."""
    status = await connection.execute(_HOLD, reservation.request_id, reservation.user_id, reservation.amount)
    return status == "INSERT 0 1"


async def lock_reservation(connection: Connection, request_id: UUID) -> Reservation | None:
    """Reads a hold and locks it until the transaction ends."""
    row = await connection.fetchrow(_RESERVATION, request_id)
    return None if row is None else Reservation(**{**row, "state": ReservationState(row["state"])})


async def end_reservation(connection: Connection, state: ReservationState, settlement: Settlement) -> None:
    """Notes what became of a hold."""
    await connection.execute(_END, settlement.request_id, state, settlement.captured, settlement.refunded)


async def claim_unsettled(pool: Pool, older_than_s: float, limit: int) -> list[UUID]:
    """Returns holds nobody has looked at for so long, and notes that somebody does now."""
    return [row["request_id"] for row in await pool.fetch(_CLAIM_UNSETTLED, older_than_s, limit)]


async def list_entries(pool: Pool, user_id: str, before: int, limit: int) -> list[LedgerEntry]:
    """Lists a user's entries with an id under `before`, newest first."""
    return [_to_entry(row) for row in await pool.fetch(_ENTRIES, user_id, before, limit)]


async def audit(pool: Pool) -> Audit:
    """Recomputes the books in one snapshot."""
    row = await pool.fetchrow(_AUDIT)
    assert row is not None  # noqa: S101 - an aggregate always has a row
    return Audit(**row)


def _to_entry(row: asyncpg.Record) -> LedgerEntry:
    return LedgerEntry(**{**row, "kind": EntryKind(row["kind"]), "account": LedgerAccount(row["account"])})
