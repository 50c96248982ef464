"""What can be asked for and what it would cost, before anything is made."""

from __future__ import annotations

from pathlib import Path

from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.catalogue import load_catalogue
from tests.integration.orchestrator.driver import Driver, identity, reason_of

_MODEL = load_catalogue(Path(__file__).parents[3] / "deploy" / "catalogue.yaml").models["REFERENCE"]


async def test_a_quote_names_price_time_and_defaults_and_holds_nothing(driver: Driver) -> None:
    holds = len(driver.billing.holds)
    request = pb.QuoteVideoRequest(video=pb.CreateVideoRequest(model="realtime", guidance_scale=4.5))
    quote = await driver.videos.QuoteVideo(request, metadata=identity("quoting"))
    assert (quote.cost_credits, quote.model, quote.tier) == ("2.0", "REFERENCE", "REALTIME")
    assert quote.num_inference_steps == _MODEL.tiers["REALTIME"].steps
    assert quote.guidance_scale == 4.5
    assert quote.estimated_time_seconds > 0
    assert len(driver.billing.holds) == holds
    assert (await driver.videos.ListVideos(pb.ListVideosRequest(), metadata=identity("quoting"))).total == 0


async def test_a_quote_refuses_what_a_request_would_be_refused_for(driver: Driver) -> None:
    request = pb.QuoteVideoRequest(video=pb.CreateVideoRequest(duration_seconds=61))
    error = await reason_of(driver.videos.QuoteVideo(request, metadata=identity("quoting")))
    assert error.reason == "INVALID_FIELD"
    assert [violation.field for violation in error.violations] == ["duration_seconds"]


async def test_the_deployed_models_with_their_tiers(driver: Driver) -> None:
    models = (await driver.videos.ListModels(pb.ListModelsRequest(), metadata=identity("quoting"))).models
    assert [model.name for model in models] == ["REFERENCE"]
    assert [tier.tier for tier in models[0].tiers] == ["REALTIME", "STANDARD", "CINEMA"]
    assert models[0].tiers[2].num_inference_steps == _MODEL.tiers["CINEMA"].steps
    assert models[0].can_speak == _MODEL.speech


async def test_nobody_in_particular_is_told_nothing(driver: Driver) -> None:
    for call in (
        driver.videos.QuoteVideo(pb.QuoteVideoRequest()),
        driver.videos.ListModels(pb.ListModelsRequest()),
    ):
        assert (await reason_of(call)).reason == "UNAUTHENTICATED"
