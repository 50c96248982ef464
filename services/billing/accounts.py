"""Use cases of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from services.billing import store
from services.billing.domain import Account, EntryKind, LedgerEntry, Movement
from services.common.errors import AlreadyExists, InvalidArgument
from services.common.postgres import Connection, Pool, transact

MAX_CREDITS = Decimal(10**9)
"""Most credits an account may have; far inside the columns' range."""


@dataclass(frozen=True)
class Grant:
    """Credits to add."""

    grant_id: str
    user_id: str
    amount: Decimal


class Accounts:
    """Opens, reads and fills accounts."""

    def __init__(self, pool: Pool, initial_credits: Decimal) -> None:
        self._pool = pool
        self._initial_credits = initial_credits

    async def get(self, user_id: str) -> Account:
        """Returns the user's account, opened if need be."""

        async def work(connection: Connection) -> Account:
            await self.open(connection, user_id)
            return await store.get_account(connection, user_id)

        return await transact(self._pool, work)

    async def open(self, connection: Connection, user_id: str) -> None:
        """Makes sure that the account exists; a new one gets its initial credits, in the caller's transaction."""
        if await store.open_account(connection, user_id) and self._initial_credits:
            await store.post(connection, Movement(EntryKind.GRANT, user_id, self._initial_credits))

    async def grant(self, grant: Grant) -> Account:
        """Adds credits, once per grant id.

        Raises:
            AlreadyExists: the grant id was used for another user or amount.
            InvalidArgument: the account would hold too much.
        """
        return await transact(self._pool, lambda connection: self._grant(connection, grant))

    async def _grant(self, connection: Connection, grant: Grant) -> Account:
        await self.open(connection, grant.user_id)
        movement = Movement(EntryKind.GRANT, grant.user_id, grant.amount, grant_id=grant.grant_id)
        # Grants of one key take turns, so that the second finds the first.
        await store.lock_grant(connection, grant.grant_id)
        known = await store.find_grant(connection, grant.grant_id)
        if known is None:
            return await self._post(connection, movement)
        if known != movement:
            raise AlreadyExists("IDEMPOTENCY_KEY_REUSED", "the grant id was used for another user or amount")
        return await store.get_account(connection, grant.user_id)

    async def _post(self, connection: Connection, movement: Movement) -> Account:
        account = await store.get_account(connection, movement.user_id)
        if account.available + account.held + movement.amount > MAX_CREDITS:
            raise InvalidArgument.of_field("amount_credits", f"the account would have more than {MAX_CREDITS}")
        return await store.post(connection, movement) or account

    async def entries(self, user_id: str, before: int, limit: int) -> list[LedgerEntry]:
        """Lists ledger entries with an id under `before`, newest first."""
        return await store.list_entries(self._pool, user_id, before, limit)
