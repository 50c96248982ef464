"""Only well-formed settlements reach the ledger."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import uuid4

import pytest

from services.billing.domain import Settlement, UnsettleableError
from services.billing.events import SettleOnTerminalEvent
from services.common.jetstream import Message, PoisonError


class _Reservations:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.seen: list[tuple[Settlement, str]] = []

    async def settle(self, settlement: Settlement, event_id: str) -> bool:
        if self.error:
            raise self.error
        self.seen.append((settlement, event_id))
        return True


async def _handle(body: object, reservations: _Reservations) -> None:
    handler = SettleOnTerminalEvent(reservations)  # type: ignore[arg-type]
    await handler(Message("job.events.completed", body if isinstance(body, bytes) else json.dumps(body).encode(), "1"))


def _event(**changes: object) -> dict[str, object]:
    settlement = {"captured_credits": "1.5", "refunded_credits": "0.5"}
    return {"event_id": "e1", "request_id": str(uuid4()), "settlement": settlement, **changes}


async def test_a_settlement_is_applied_under_its_event_id() -> None:
    reservations = _Reservations()
    event = _event(status="VIDEO_STATUS_COMPLETED", a_field_of_tomorrow=1)
    await _handle(event, reservations)
    [(settlement, event_id)] = reservations.seen
    assert (str(settlement.request_id), event_id) == (event["request_id"], "e1")
    assert (settlement.captured, settlement.refunded) == (Decimal("1.5"), Decimal("0.5"))


async def test_events_of_unfinished_jobs_are_passed_over() -> None:
    reservations = _Reservations()
    await _handle({"event_id": "e1", "request_id": str(uuid4())}, reservations)
    assert reservations.seen == []


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"\xff",
        _event(event_id=""),
        _event(request_id="x"),
        _event(settlement={"captured_credits": "-1", "refunded_credits": "1"}),
        _event(settlement={"captured_credits": "1"}),
    ],
)
async def test_malformed_events_are_poison(body: object) -> None:
    with pytest.raises(PoisonError):
        await _handle(body, _Reservations())


async def test_a_settlement_that_does_not_fit_is_poison() -> None:
    with pytest.raises(PoisonError, match="released"):
        await _handle(_event(), _Reservations(UnsettleableError("the hold was released")))
