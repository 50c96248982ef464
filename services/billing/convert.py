"""Protobuf to domain and back. Everything that comes from outside is checked here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from kinemesh.billing.v1 import billing_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.billing.accounts import MAX_CREDITS, Grant
from services.billing.domain import Account, Audit, LedgerEntry, Reservation, ReservationState, format_credits
from services.billing.pricing import Order, Price
from services.common.errors import InvalidArgument
from services.common.identity import MAX_USER_ID, is_user_id

_AMOUNT = re.compile(r"\d{1,10}(\.\d{1,4})?", re.ASCII)
_ENTRY_ID = re.compile(r"[1-9]\d{0,17}", re.ASCII)
_MAX_GRANT_ID = 128
_MAX_PAGE = 500
_DEFAULT_PAGE = 50
_NEWEST = 2**63 - 1


def to_order(request: pb.QuoteRequest) -> Order:
    """Names what is to be priced."""
    config = request.config
    return Order(
        tier=_name(video_pb2.Tier.DESCRIPTOR, request.tier, "TIER_", "tier"),
        model=_name(video_pb2.Model.DESCRIPTOR, config.model, "MODEL_", "config.model"),
        resolution=_name(video_pb2.Resolution.DESCRIPTOR, config.resolution, "RESOLUTION_", "config.resolution"),
        # The shortest decimal that is the same double: 7.3 is priced as 7.3.
        video_seconds=Decimal(str(config.duration_seconds)),
        has_audio=config.enable_audio,
    )


def from_price(price: Price) -> pb.QuoteResponse:
    """Answers Quote."""
    return pb.QuoteResponse(
        video_seconds=float(price.video_seconds),
        cost_credits=format_credits(price.credits),
        tier_multiplier=float(price.tier_multiplier),
    )


def to_reservation(request: pb.ReserveRequest) -> Reservation:
    """The hold asked for."""
    return Reservation(
        to_request_id(request.request_id),
        to_user_id(request.user_id),
        to_amount(request.amount_credits),
        ReservationState.HELD,
    )


def to_grant(request: pb.GrantCreditsRequest) -> Grant:
    """The grant asked for."""
    return Grant(_grant_id(request.grant_id), to_user_id(request.user_id), to_amount(request.amount_credits))


def to_request_id(text: str) -> UUID:
    """A job's id."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidArgument.of_field("request_id", "must be a UUID") from None


def to_user_id(text: str) -> str:
    """An account's name."""
    if not is_user_id(text):
        raise InvalidArgument.of_field("user_id", f"must be 1 to {MAX_USER_ID} printable characters")
    return text


def to_amount(text: str, field: str = "amount_credits") -> Decimal:
    """A positive amount."""
    amount = parse_credits(text)
    if amount is None or not 0 < amount <= MAX_CREDITS:
        raise InvalidArgument.of_field(
            field, "must be a decimal greater than 0 with at most four digits after the point"
        )
    return amount


def parse_credits(text: str) -> Decimal | None:
    """An amount of at least 0; None when the text is not one."""
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def to_page_size(size: int) -> int:
    """0 means the default."""
    if not 0 <= size <= _MAX_PAGE:
        raise InvalidArgument.of_field("page_size", f"must be 0 to {_MAX_PAGE}")
    return size or _DEFAULT_PAGE


def to_before(page_token: str) -> int:
    """The entry id under which the page begins."""
    if not page_token:
        return _NEWEST
    if not _ENTRY_ID.fullmatch(page_token):
        raise InvalidArgument.of_field("page_token", "is not from an earlier answer")
    return int(page_token)


def from_entries(entries: Sequence[LedgerEntry], page_size: int) -> pb.ListLedgerEntriesResponse:
    """A page of the ledger; an entry more than fits says that the list goes on."""
    page = entries[:page_size]
    token = str(page[-1].entry_id) if len(entries) > page_size else ""
    return pb.ListLedgerEntriesResponse(entries=map(_from_entry, page), next_page_token=token)


def from_account(account: Account) -> pb.Account:
    """An account, exact."""
    return pb.Account(
        user_id=account.user_id,
        available_credits=format_credits(account.available),
        held_credits=format_credits(account.held),
        spent_credits=format_credits(account.spent),
    )


def from_own_account(account: Account) -> pb.GetAccountResponse:
    """An account, for display."""
    return pb.GetAccountResponse(
        user_id=account.user_id,
        available_credits=float(account.available),
        held_credits=float(account.held),
        spent_credits=float(account.spent),
    )


def from_audit(audit: Audit) -> pb.AuditLedgerResponse:
    """The state of the books."""
    return pb.AuditLedgerResponse(
        imbalance_credits=format_credits(audit.imbalance),
        inconsistent_accounts=audit.inconsistent_accounts,
        unbalanced_jobs=audit.unbalanced_jobs,
        held_credits=format_credits(audit.held),
    )


def _from_entry(entry: LedgerEntry) -> pb.LedgerEntry:
    created_at = Timestamp()
    created_at.FromDatetime(entry.created_at)
    return pb.LedgerEntry(
        transaction_id=str(entry.transaction_id),
        kind=pb.EntryKind.Value(f"ENTRY_KIND_{entry.kind}"),
        account=entry.account,
        amount_credits=format_credits(entry.amount),
        request_id=str(entry.request_id or ""),
        created_at=created_at,
    )


def _grant_id(text: str) -> str:
    if not 0 < len(text) <= _MAX_GRANT_ID or not text.isprintable():
        raise InvalidArgument.of_field("grant_id", f"must be 1 to {_MAX_GRANT_ID} printable characters")
    return text


def _name(enum: EnumDescriptor, value: int, prefix: str, field: str) -> str:
    if value == 0 or value not in enum.values_by_number:
        raise InvalidArgument.of_field(field, "must be set")
    return enum.values_by_number[value].name.removeprefix(prefix)
