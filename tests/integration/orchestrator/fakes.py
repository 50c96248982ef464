"""The services behind the orchestrator, as far as accepting a video needs them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from kinemesh.billing.v1 import billing_service_pb2 as billing_pb
from kinemesh.billing.v1 import billing_service_pb2_grpc
from kinemesh.safety.v1 import safety_service_pb2 as safety_pb
from kinemesh.safety.v1 import safety_service_pb2_grpc
from services.common.errors import Internal, NotFound, PaymentRequired


class FakeSafety(safety_service_pb2_grpc.SafetyServiceServicer):
    """Blocks prompts that contain a forbidden word."""

    def __init__(self) -> None:
        self.forbidden = {"forbidden"}
        self.asked: list[str] = []
        self.pictures: list[str] = []
        self.blind = True
        """Whether pictures pass."""

    async def CheckPrompt(self, request: safety_pb.CheckPromptRequest, context: Any) -> safety_pb.CheckPromptResponse:
        self.asked.append(request.request_id)
        blocked = any(word in request.text_prompt for word in self.forbidden)
        verdict = safety_pb.Verdict(passed=not blocked, safety_score=0.9 if blocked else 0.1)
        if blocked:
            verdict.reason = "the prompt asks for what is forbidden"
            verdict.flagged_categories["violence"] = 0.9
        return safety_pb.CheckPromptResponse(verdict=verdict)

    async def CheckPicture(
        self, request: safety_pb.CheckPictureRequest, context: Any
    ) -> safety_pb.CheckPictureResponse:
        self.pictures.append(request.picture_uri)
        return safety_pb.CheckPictureResponse(verdict=safety_pb.Verdict(passed=self.blind, safety_score=0.05))


class FakeBilling(billing_service_pb2_grpc.BillingServiceServicer):
    """Holds 2 credits a job, of as many as there are."""

    def __init__(self) -> None:
        self.credits: dict[str, Decimal] = {}
        self.holds: dict[str, Decimal] = {}
        self.released: list[str] = []
        self.price = Decimal("2.0")
        self.lose_answers = 0
        """Reserve answers that are lost after the hold was made."""

    async def Quote(self, request: billing_pb.QuoteRequest, context: Any) -> billing_pb.QuoteResponse:
        seconds = request.config.duration_seconds
        return billing_pb.QuoteResponse(video_seconds=seconds, cost_credits=str(self.price), tier_multiplier=1.0)

    async def Reserve(self, request: billing_pb.ReserveRequest, context: Any) -> billing_pb.ReserveResponse:
        amount, available = Decimal(request.amount_credits), self.credits.get(request.user_id, Decimal(1000))
        if request.request_id not in self.holds:
            if amount > available:
                raise PaymentRequired("INSUFFICIENT_CREDITS", "too few credits", required=amount, available=available)
            self.credits[request.user_id] = available - amount
            self.holds[request.request_id] = amount
        assert self.holds[request.request_id] == amount
        await asyncio.sleep(0)
        if self.lose_answers:
            self.lose_answers -= 1
            raise Internal("INTERNAL", "executed, then failed")
        return billing_pb.ReserveResponse(available_credits=str(available))

    async def ReleaseReservation(
        self, request: billing_pb.ReleaseReservationRequest, context: Any
    ) -> billing_pb.ReleaseReservationResponse:
        if self.holds.pop(request.request_id, None) is None:
            raise NotFound("RESOURCE_NOT_FOUND", "no such reservation")
        self.released.append(request.request_id)
        return billing_pb.ReleaseReservationResponse()
