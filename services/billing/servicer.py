"""gRPC faces of billing: convert, one use case, convert."""

from __future__ import annotations

from typing import Any

import grpc

from kinemesh.billing.v1 import billing_service_pb2 as pb
from kinemesh.billing.v1 import billing_service_pb2_grpc as pb_grpc
from services.billing import convert
from services.billing.accounts import Accounts
from services.billing.audit import Auditor
from services.billing.domain import format_credits
from services.billing.pricing import PriceList
from services.billing.reservations import Reservations
from services.common import identity

Context = grpc.aio.ServicerContext[Any, Any]


class BillingServicer(pb_grpc.BillingServiceServicer):
    """The internal service."""

    def __init__(self, prices: PriceList, accounts: Accounts, reservations: Reservations, auditor: Auditor) -> None:
        self._prices = prices
        self._accounts = accounts
        self._reservations = reservations
        self._auditor = auditor

    async def Quote(self, request: pb.QuoteRequest, context: Context) -> pb.QuoteResponse:
        """Prices a generation."""
        return convert.from_price(self._prices.quote(convert.to_order(request)))

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        """Holds the price of a job."""
        account = await self._reservations.reserve(convert.to_reservation(request))
        return pb.ReserveResponse(available_credits=format_credits(account.available))

    async def ReleaseReservation(
        self,
        request: pb.ReleaseReservationRequest,
        context: Context,
    ) -> pb.ReleaseReservationResponse:
        """Gives back the hold of a job that was never made."""
        account = await self._reservations.release(convert.to_request_id(request.request_id))
        return pb.ReleaseReservationResponse(available_credits=format_credits(account.available))

    async def GrantCredits(
        self,
        request: pb.GrantCreditsRequest,
        context: Context,
    ) -> pb.GrantCreditsResponse:
        """Adds credits."""
        account = await self._accounts.grant(convert.to_grant(request))
        return pb.GrantCreditsResponse(account=convert.from_account(account))

    async def ListLedgerEntries(
        self,
        request: pb.ListLedgerEntriesRequest,
        context: Context,
    ) -> pb.ListLedgerEntriesResponse:
        """Lists the ledger of an account."""
        size = convert.to_page_size(request.page_size)
        user_id, before = convert.to_user_id(request.user_id), convert.to_before(request.page_token)
        return convert.from_entries(await self._accounts.entries(user_id, before, size + 1), size)

    async def AuditLedger(
        self,
        request: pb.AuditLedgerRequest,
        context: Context,
    ) -> pb.AuditLedgerResponse:
        """Checks the books."""
        return convert.from_audit(await self._auditor.audit())


class AccountServicer(pb_grpc.AccountServiceServicer):
    """A user's own account, behind the gateway."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def GetAccount(
        self,
        request: pb.GetAccountRequest,
        context: Context,
    ) -> pb.GetAccountResponse:
        """Returns the caller's account."""
        return convert.from_own_account(await self._accounts.get(identity.user_id(context)))
