"""What a video would cost and how long it would take, asked before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from services.orchestrator.domain.spec import VideoSpec
    from services.orchestrator.usecases.accept import Billing
    from services.orchestrator.usecases.estimate import Estimator


@dataclass(frozen=True)
class Offer:
    """What accepting a request now would mean."""

    spec: VideoSpec
    """The request with every default filled in."""
    cost: Decimal
    """Its price in credits."""
    total_s: int
    """Seconds until the video would be ready, with the queue."""


class QuoteVideo:
    """Prices requests. Holds nothing: the price is fixed when a video is accepted."""

    def __init__(self, billing: Billing, estimate: Estimator) -> None:
        self._billing = billing
        self._estimate = estimate

    async def __call__(self, spec: VideoSpec) -> Offer:
        """Prices a request as accepting it would."""
        quote = await self._billing.quote(spec)
        return Offer(spec, quote.cost, (await self._estimate(spec)).total_s)
