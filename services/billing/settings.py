"""Settings of the billing service."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.billing.pricing import ResolutionName
from services.common.catalogue import TierName
from services.common.settings import NatsSettings, PostgresSettings, RetentionSettings, ServiceSettings

Factor = Annotated[Decimal, Field(gt=0, le=1000)]

_TIERS: Mapping[TierName, Decimal] = {"REALTIME": Decimal("1.5"), "STANDARD": Decimal(1), "CINEMA": Decimal("2.5")}
_RESOLUTIONS: Mapping[ResolutionName, Decimal] = {
    "480P": Decimal("0.25"),
    "720P": Decimal("0.5"),
    "1080P": Decimal(1),
    "4K": Decimal(4),
}


class Settings(PostgresSettings, NatsSettings, RetentionSettings, ServiceSettings):
    """Everything that can be set. 10 s at STANDARD, 1080P, with the defaults cost 2.0 credits."""

    orchestrator_address: str
    """host:port of the orchestrator, asked about holds whose settlement may have been missed."""
    catalogue_path: Path = Path("deploy/catalogue.yaml")
    """Catalogue file; it has the models' price factors."""
    initial_credits: Decimal = Field(default=Decimal(0), ge=0, le=10**9, decimal_places=4)
    """Credits granted once to every new account."""
    price_per_second_credits: Factor = Decimal("0.2")
    """Credits for a second at STANDARD, 1080P, silent, before the model's factor."""
    price_tier_multipliers: Mapping[TierName, Factor] = _TIERS
    """Factor of each tier; a tier without one is refused."""
    price_resolution_multipliers: Mapping[ResolutionName, Factor] = _RESOLUTIONS
    """Factor of each resolution; one without is refused."""
    price_audio_multiplier: Factor = Decimal(1)
    """Factor for a clip with sound; 1 means that sound is included."""
    reconcile_interval_s: float = Field(default=30.0, gt=0)
    """Seconds between looks at holds that are old."""
    reconcile_after_s: float = Field(default=120.0, ge=0)
    """Age at which a hold is looked at, and time until it is looked at again, seconds."""
    audit_interval_s: float = Field(default=30.0, gt=0)
    """Seconds between two audits of the books for the metrics."""
