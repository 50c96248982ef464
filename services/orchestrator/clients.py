"""The services that accepting a video calls."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import grpc

from kinemesh.billing.v1 import billing_service_pb2
from kinemesh.safety.v1 import safety_service_pb2
from services.common.errors import ContentBlocked, NotFound, ServiceError
from services.common.rpc.client import error_from_rpc
from services.orchestrator.convert.messages import generation_config, tier
from services.orchestrator.usecases.accept import Quote

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeVar

    from kinemesh.billing.v1.billing_service_pb2_grpc import BillingServiceAsyncStub
    from kinemesh.safety.v1.safety_service_pb2_grpc import SafetyServiceAsyncStub
    from services.common.storage import StoredObject
    from services.orchestrator.domain.spec import VideoSpec

    T = TypeVar("T")

_TIMEOUT_S = 5.0
_PICTURE_TIMEOUT_S = 10.0
"""A process is started for it."""


class SafetyClient:
    """SafetyService for accepting."""

    def __init__(self, stub: SafetyServiceAsyncStub) -> None:
        self._stub = stub

    async def check(self, request_id: UUID, prompt: str, negative_prompt: str) -> float:
        """Returns the prompt's score; no answer means that nothing is accepted.

        Raises:
            ContentBlocked: CONTENT_BLOCKED.
        """
        request = safety_service_pb2.CheckPromptRequest(
            request_id=str(request_id), text_prompt=prompt, negative_prompt=negative_prompt
        )
        return _score((await _answer(self._stub.CheckPrompt(request, timeout=_TIMEOUT_S))).verdict)

    async def check_picture(self, request_id: UUID, picture: StoredObject) -> float:
        """Returns the picture's score; raises as `check`."""
        request = safety_service_pb2.CheckPictureRequest(
            request_id=str(request_id), picture_uri=picture.ref.uri, sha256=picture.sha256
        )
        return _score((await _answer(self._stub.CheckPicture(request, timeout=_PICTURE_TIMEOUT_S))).verdict)


class BillingClient:
    """BillingService for accepting."""

    def __init__(self, stub: BillingServiceAsyncStub) -> None:
        self._stub = stub

    async def quote(self, spec: VideoSpec) -> Quote:
        """Prices a request."""
        request = billing_service_pb2.QuoteRequest(tier=tier(spec.tier), config=generation_config(spec))
        answer = await _answer(self._stub.Quote(request, timeout=_TIMEOUT_S))
        return Quote(
            Decimal(answer.cost_credits), Decimal(str(answer.tier_multiplier)), Decimal(str(answer.video_seconds))
        )

    async def reserve(self, request_id: UUID, user_id: str, cost: Decimal) -> None:
        """Holds the price, once per request.

        Raises:
            PaymentRequired: INSUFFICIENT_CREDITS.
        """
        request = billing_service_pb2.ReserveRequest(
            request_id=str(request_id), user_id=user_id, amount_credits=str(cost)
        )
        await _answer(self._stub.Reserve(request, timeout=_TIMEOUT_S))

    async def release(self, request_id: UUID) -> None:
        """Gives a hold back; fine if there is none."""
        request = billing_service_pb2.ReleaseReservationRequest(request_id=str(request_id))
        try:
            await _answer(self._stub.ReleaseReservation(request, timeout=_TIMEOUT_S))
        except NotFound:
            return


def _score(verdict: safety_service_pb2.Verdict) -> float:
    if not verdict.passed:
        reason = verdict.reason or "the content policy does not allow it"
        raise ContentBlocked("CONTENT_BLOCKED", reason, categories=",".join(sorted(verdict.flagged_categories)))
    return verdict.safety_score


async def _answer(call: Awaitable[T]) -> T:
    """Awaits a call; its failure becomes the error the service meant."""
    try:
        return await call
    except grpc.aio.AioRpcError as exc:
        error: ServiceError = error_from_rpc(exc)
        raise error from exc
