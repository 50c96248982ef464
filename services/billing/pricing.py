"""What a generation costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from services.billing.domain import round_credits
from services.common.errors import InvalidArgument

ResolutionName = Literal["480P", "720P", "1080P", "4K"]


@dataclass(frozen=True)
class Order:
    """What is priced; names without the prefix of their enum."""

    tier: str
    model: str
    resolution: str
    video_seconds: Decimal
    has_audio: bool


@dataclass(frozen=True)
class Price:
    """A price and what went into it."""

    video_seconds: Decimal
    credits: Decimal
    tier_multiplier: Decimal


@dataclass(frozen=True)
class PriceList:
    """Base price and factors; all greater than 0."""

    per_second: Decimal
    tiers: Mapping[str, Decimal]
    resolutions: Mapping[str, Decimal]
    models: Mapping[str, Decimal]
    audio: Decimal

    def quote(self, order: Order) -> Price:
        """Multiplies length, base price and factors; rounded half up to four digits, at least 0.0001.

        Raises:
            InvalidArgument: the length is not positive, a name is unknown, or the model is not deployed.
        """
        if not order.video_seconds.is_finite() or not 0 < order.video_seconds <= 3600:
            raise InvalidArgument.of_field("config.duration_seconds", "must be greater than 0 and at most 3600")
        tier = _factor(self.tiers, order.tier, "tier")
        factors = tier * _factor(self.resolutions, order.resolution, "config.resolution") * self._model(order.model)
        audio = self.audio if order.has_audio else Decimal(1)
        amount = round_credits(order.video_seconds * self.per_second * factors * audio)
        return Price(order.video_seconds, max(amount, Decimal("0.0001")), tier)

    def _model(self, name: str) -> Decimal:
        if name not in self.models:
            deployed = ", ".join(sorted(self.models))
            message = f"model {name} is not deployed; deployed are: {deployed}"
            raise InvalidArgument("MODEL_NOT_DEPLOYED", message, deployed=deployed)
        return self.models[name]


def _factor(factors: Mapping[str, Decimal], name: str, field: str) -> Decimal:
    if name not in factors:
        raise InvalidArgument.of_field(field, f"must be one of {', '.join(factors)}")
    return factors[name]
