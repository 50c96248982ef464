"""Consumes the orchestrator's job events: a job's end settles its hold."""

from __future__ import annotations

import logging
from uuid import UUID

from google.protobuf import json_format

from kinemesh.orchestrator.v1 import job_events_pb2
from services.billing.convert import parse_credits
from services.billing.domain import Settlement, UnsettleableError
from services.billing.reservations import Reservations
from services.common.faults import race_point
from services.common.jetstream import ConsumerSpec, Message, PoisonError
from services.common.streams import JOB_EVENTS

CONSUMER = ConsumerSpec(JOB_EVENTS, durable="billing-settlement", subject="job.events.*")

logger = logging.getLogger(__name__)


class SettleOnTerminalEvent:
    """Handles `job.events.*`; events without a settlement are of jobs that go on."""

    def __init__(self, reservations: Reservations) -> None:
        self._reservations = reservations

    async def __call__(self, message: Message) -> None:
        """Settles the hold the event is about; PoisonError when it cannot be."""
        event = _parse(message.data)
        if not event.HasField("settlement"):
            return
        settlement = to_settlement(event.request_id, event.settlement)
        try:
            done = await self._reservations.settle(settlement, event.event_id)
        except UnsettleableError as exc:
            raise PoisonError(str(exc)) from exc
        race_point("billing.settlement.committed")
        logger.info("settlement seen", extra={"request_id": event.request_id, "settled_now": done})


def to_settlement(request_id: str, settlement: job_events_pb2.Settlement) -> Settlement:
    """Reads how a job's hold is divided.

    Raises:
        PoisonError: an id or an amount is malformed.
    """
    captured, refunded = parse_credits(settlement.captured_credits), parse_credits(settlement.refunded_credits)
    if captured is None or refunded is None:
        raise PoisonError("malformed amount")
    try:
        return Settlement(UUID(request_id), captured, refunded)
    except ValueError:
        raise PoisonError("malformed request_id") from None


def _parse(data: bytes) -> job_events_pb2.JobStateChanged:
    event = job_events_pb2.JobStateChanged()
    try:
        json_format.Parse(data, event, ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as exc:
        raise PoisonError("not a JobStateChanged") from exc
    if not event.event_id:
        raise PoisonError("event_id is missing")
    return event
