"""What comes from outside is checked; amounts are exact both ways."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from kinemesh.billing.v1 import billing_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.billing import convert
from services.billing.domain import EntryKind, LedgerAccount, LedgerEntry
from services.common.errors import InvalidArgument


@pytest.mark.parametrize("text", ["", "0", "-1", "1.00001", "1e3", "NaN", "Infinity", " 1", "1,5", "٣", "99999999999"])
def test_bad_amounts_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="amount_credits"):
        convert.to_amount(text)


def test_an_order_names_what_is_priced() -> None:
    config = video_pb2.GenerationConfig(
        model=video_pb2.MODEL_REFERENCE, duration_seconds=7.3, resolution=video_pb2.RESOLUTION_4K, enable_audio=True
    )
    order = convert.to_order(pb.QuoteRequest(tier=video_pb2.TIER_CINEMA, config=config))
    assert (order.tier, order.model, order.resolution) == ("CINEMA", "REFERENCE", "4K")
    assert order.video_seconds == Decimal("7.3")
    assert order.has_audio


def test_an_order_without_a_tier_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="tier"):
        convert.to_order(pb.QuoteRequest())


@pytest.mark.parametrize("user_id", ["", "x" * 65, "a\x00b", "a\nb"])
def test_bad_user_ids_are_refused(user_id: str) -> None:
    with pytest.raises(InvalidArgument, match="user_id"):
        convert.to_user_id(user_id)


def test_bad_request_ids_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="request_id"):
        convert.to_request_id("not-a-uuid")


@pytest.mark.parametrize("token", ["x", "-1", "0", "9" * 40])
def test_bad_page_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        convert.to_before(token)


def test_an_entry_too_many_becomes_the_token_of_the_next_page() -> None:
    entries = [
        LedgerEntry(
            number,
            uuid4(),
            EntryKind.GRANT,
            LedgerAccount.AVAILABLE,
            Decimal(1),
            None,
            datetime(2026, 1, 28, tzinfo=UTC),
        )
        for number in (3, 2, 1)
    ]
    page = convert.from_entries(entries, page_size=2)
    assert (len(page.entries), page.next_page_token) == (2, "2")
    assert page.entries[0].kind == pb.ENTRY_KIND_GRANT
    assert convert.from_entries(entries, page_size=3).next_page_token == ""
