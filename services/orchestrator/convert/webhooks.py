"""Webhooks to protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinemesh.video.v1 import webhook_service_pb2 as pb
from services.orchestrator.convert.messages import timestamp

if TYPE_CHECKING:
    from services.orchestrator.store.webhook_log import Attempt, Webhook
    from services.orchestrator.usecases.webhooks import Rotation


def webhook(found: Webhook) -> pb.Webhook:
    """A webhook as its user sees it."""
    return pb.Webhook(
        webhook_id=str(found.delivery_id),
        request_id=str(found.request_id),
        event=found.event,
        state=found.state,
        attempts=found.attempts,
        last_result=found.last_result or "",
        next_attempt_at=timestamp(found.next_attempt_at) if found.state == "PENDING" else None,
        created_at=timestamp(found.created_at),
        ended_at=timestamp(found.ended_at),
    )


def attempt(made: Attempt) -> pb.WebhookAttempt:
    """A line of the log."""
    return pb.WebhookAttempt(
        attempt=made.attempt,
        started_at=timestamp(made.started_at),
        duration_ms=made.duration_ms,
        result=made.result,
    )


def rotated(rotation: Rotation) -> pb.RotateWebhookSecretResponse:
    """A new secret."""
    return pb.RotateWebhookSecretResponse(
        webhook_secret=rotation.secret, previous_expires_at=timestamp(rotation.previous_expires_at)
    )
