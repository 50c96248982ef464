"""Use cases of holds: reserve, release, settle."""

from __future__ import annotations

from uuid import UUID

from services.billing import store
from services.billing.accounts import Accounts
from services.billing.domain import (
    Account,
    EntryKind,
    Movement,
    Reservation,
    ReservationState,
    Settlement,
    UnsettleableError,
    format_credits,
)
from services.common import inbox
from services.common.errors import AlreadyExists, NotFound, PaymentRequired
from services.common.postgres import Connection, Pool, transact

_CONSUMER = "settlement"


class Reservations:
    """Moves credits into holds and out of them."""

    def __init__(self, pool: Pool, accounts: Accounts) -> None:
        self._pool = pool
        self._accounts = accounts

    async def reserve(self, wanted: Reservation) -> Account:
        """Holds credits; repeating it changes nothing.

        Raises:
            PaymentRequired: too little is available.
            AlreadyExists: a hold for this job has another amount or account, or was released.
        """
        return await transact(self._pool, lambda connection: self._reserve(connection, wanted))

    async def _reserve(self, connection: Connection, wanted: Reservation) -> Account:
        await self._accounts.open(connection, wanted.user_id)
        if not await store.add_reservation(connection, wanted):
            return await self._repeat(connection, wanted)
        movement = Movement(EntryKind.RESERVE, wanted.user_id, wanted.amount, wanted.request_id)
        account = await store.post(connection, movement)
        if account is None:
            required = format_credits(wanted.amount)
            available = format_credits((await store.get_account(connection, wanted.user_id)).available)
            message = f"the job costs {required} credits and {available} are available"
            raise PaymentRequired("INSUFFICIENT_CREDITS", message, required=required, available=available)
        return account

    async def _repeat(self, connection: Connection, wanted: Reservation) -> Account:
        known = await store.lock_reservation(connection, wanted.request_id)
        if known is None or (known.user_id, known.amount) != (wanted.user_id, wanted.amount):
            raise AlreadyExists("RESERVATION_MISMATCH", "the job has a reservation of another amount or account")
        if known.state is ReservationState.RELEASED:
            # A late repetition must not hold credits again that nobody would ever release.
            raise AlreadyExists("RESERVATION_MISMATCH", "the job's reservation was released")
        return await store.get_account(connection, wanted.user_id)

    async def release(self, request_id: UUID) -> Account:
        """Gives back the hold of a job that was never made; one that has ended already stays as it is.

        Raises:
            NotFound: there is no such hold.
        """

        async def work(connection: Connection) -> Account:
            held = await store.lock_reservation(connection, request_id)
            if held is None:
                raise NotFound("RESOURCE_NOT_FOUND", "no such reservation")
            if held.state is ReservationState.HELD:
                settlement = Settlement(request_id, captured=held.amount * 0, refunded=held.amount)
                await _end(connection, held, ReservationState.RELEASED, settlement)
            return await store.get_account(connection, held.user_id)

        return await transact(self._pool, work)

    async def settle(self, settlement: Settlement, event_id: str) -> bool:
        """Captures and refunds once, however often the event comes; returns whether this call did it.

        Raises:
            UnsettleableError: there is no such hold, or the settlement does not divide it.
        """

        async def work(connection: Connection) -> bool:
            if not await inbox.once(connection, _CONSUMER, event_id):
                return False
            held = await store.lock_reservation(connection, settlement.request_id)
            if held is None or held.amount != settlement.total:
                raise UnsettleableError("no hold of this amount")
            if held.state is ReservationState.RELEASED:
                raise UnsettleableError("the hold was released")
            if held.state is ReservationState.HELD:
                await _end(connection, held, ReservationState.SETTLED, settlement)
            return held.state is ReservationState.HELD

        return await transact(self._pool, work)


async def _end(connection: Connection, held: Reservation, state: ReservationState, settlement: Settlement) -> None:
    await store.end_reservation(connection, state, settlement)
    for kind, amount in ((EntryKind.CAPTURE, settlement.captured), (EntryKind.REFUND, settlement.refunded)):
        if amount:
            await store.post(connection, Movement(kind, held.user_id, amount, held.request_id))
