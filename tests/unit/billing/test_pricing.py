"""Prices: exact decimals, rounded half up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from services.billing.app import price_list
from services.billing.domain import round_credits
from services.billing.pricing import Order
from services.billing.settings import Settings
from services.common.catalogue import load_catalogue
from services.common.errors import InvalidArgument

_CATALOGUE = load_catalogue(Path(__file__).parents[3] / "deploy" / "catalogue.yaml")
_ORDER = Order("STANDARD", "REFERENCE", "1080P", Decimal(10), has_audio=True)


def _settings(**changes: object) -> Settings:
    return Settings.model_validate(
        {"postgres_dsn": SecretStr("postgresql://x"), "orchestrator_address": "localhost:1", **changes}
    )


def test_ten_seconds_at_standard_1080p_cost_two_credits() -> None:
    price = price_list(_settings(), _CATALOGUE).quote(_ORDER)
    assert (price.credits, price.video_seconds, price.tier_multiplier) == (Decimal("2.0000"), Decimal(10), Decimal(1))


@pytest.mark.parametrize(
    ("change", "cost"),
    [
        ({"tier": "REALTIME"}, "3"),
        ({"tier": "CINEMA"}, "5"),
        ({"resolution": "480P"}, "0.5"),
        ({"resolution": "4K"}, "8"),
        ({"video_seconds": Decimal("7.3")}, "1.46"),
        ({"has_audio": False}, "2"),
    ],
)
def test_every_factor_counts(change: dict[str, object], cost: str) -> None:
    order = replace(_ORDER, **change)  # type: ignore[arg-type]
    assert price_list(_settings(), _CATALOGUE).quote(order).credits == Decimal(cost)


def test_sound_and_model_have_factors_too() -> None:
    prices = replace(
        price_list(_settings(price_audio_multiplier="1.1"), _CATALOGUE), models={"REFERENCE": Decimal("1.5")}
    )
    assert prices.quote(_ORDER).credits == Decimal("3.3")
    assert prices.quote(replace(_ORDER, has_audio=False)).credits == Decimal(3)


def test_a_price_is_never_zero() -> None:
    prices = price_list(_settings(price_per_second_credits="0.0001"), _CATALOGUE)
    order = replace(_ORDER, resolution="480P", video_seconds=Decimal("0.1"))
    assert prices.quote(order).credits == Decimal("0.0001")


@pytest.mark.parametrize(("exact", "rounded"), [("1.00005", "1.0001"), ("1.000049", "1.0000"), ("2.00015", "2.0002")])
def test_rounding_is_half_up(exact: str, rounded: str) -> None:
    assert round_credits(Decimal(exact)) == Decimal(rounded)


def test_an_undeployed_model_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidArgument) as raised:
        price_list(_settings(), _CATALOGUE).quote(replace(_ORDER, model="VEO3"))
    assert raised.value.reason == "MODEL_NOT_DEPLOYED"
    assert raised.value.metadata == {"deployed": "REFERENCE"}


@pytest.mark.parametrize("seconds", ["0", "-1", "NaN", "Infinity", "3601"])
def test_impossible_lengths_are_refused(seconds: str) -> None:
    with pytest.raises(InvalidArgument, match="duration_seconds"):
        price_list(_settings(), _CATALOGUE).quote(replace(_ORDER, video_seconds=Decimal(seconds)))


def test_settings_take_factors_from_json_without_floats() -> None:
    settings = _settings(price_tier_multipliers={"STANDARD": 1.1})
    assert settings.price_tier_multipliers == {"STANDARD": Decimal("1.1")}
    with pytest.raises(InvalidArgument, match="tier"):
        price_list(settings, _CATALOGUE).quote(replace(_ORDER, tier="CINEMA"))


def test_settings_refuse_a_free_tier() -> None:
    with pytest.raises(ValidationError):
        _settings(price_tier_multipliers={"STANDARD": 0})
