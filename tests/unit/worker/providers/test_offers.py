"""When a model behind a provider is offered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from services.worker.errors import GivenBackError, ModelFailedError, ProviderUnavailableError
from services.worker.providers.offers import FIRST_PAUSE_S, LONGEST_PAUSE_S, Offers, ProviderModels
from services.worker.providers.settings import ProviderSettings
from services.worker.state import WorkerState


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        served: Any = {"SORA": SimpleNamespace(entry="sora"), "GEN4": SimpleNamespace(entry="gen4")}
        self.offers = Offers(served, clock=lambda: self.now)
        self.state = WorkerState()
        self.models = ProviderModels(self.offers, self.state)

    async def fail(self, retry_after_s: float | None = None) -> None:
        await self.models.recover("SORA", ProviderUnavailableError(retry_after_s))

    def pause_s(self) -> float:
        """How long SORA is not offered from now on."""
        began = self.now
        while "SORA" not in self.models.names:
            self.now += 1
        return self.now - began


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_provider_that_fails_is_left_alone_longer_each_time(bench: Bench) -> None:
    pauses = []
    for _ in range(6):
        await bench.fail()
        assert bench.models.names == ["GEN4"]
        pauses.append(bench.pause_s())
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


async def test_several_slots_find_out_about_one_outage(bench: Bench) -> None:
    await bench.fail()
    await bench.fail()
    assert bench.pause_s() == FIRST_PAUSE_S


async def test_the_provider_s_own_word_and_an_answer_count(bench: Bench) -> None:
    await bench.fail(retry_after_s=300)
    assert bench.pause_s() == 300
    bench.offers.answered("SORA")
    await bench.fail()
    assert bench.pause_s() == FIRST_PAUSE_S


async def test_a_job_that_comes_meanwhile_goes_back_unblamed(bench: Bench) -> None:
    assert await bench.models.ensure("SORA") == "sora"  # type: ignore[comparison-overlap]
    assert [model.name for model in bench.state.models] == ["SORA"]
    await bench.fail()
    with pytest.raises(GivenBackError) as back:
        await bench.models.ensure("SORA")
    assert back.value.reason == job_service_pb2.REQUEUE_REASON_PROVIDER_UNAVAILABLE
    with pytest.raises(ModelFailedError):
        await bench.models.ensure("VEO3")


async def test_slots_learn_of_a_change_and_nothing_offered_is_not_ready(bench: Bench) -> None:
    await bench.offers.look()
    bench.state.changed.clear()
    await bench.offers.look()
    assert not bench.state.changed.is_set()
    await bench.offers.require_any()
    for name in ("SORA", "GEN4"):
        bench.offers.suspend(name)
    await bench.offers.look()
    assert bench.state.changed.is_set()
    with pytest.raises(ConnectionError):
        await bench.offers.require_any()


@pytest.mark.parametrize(
    ("settings", "provider", "missing"),
    [
        ({}, "vertex_veo", "vertex_project"),
        ({"vertex_project": "p-1"}, "vertex_veo", "vertex_service_account_file or vertex_access_token_file"),
        ({"vertex_project": "p-1", "vertex_access_token_file": "t"}, "vertex_veo", None),
        ({}, "openai_videos", "openai_videos_base_url"),
        ({"openai_videos_base_url": "http://engine:30000/v1"}, "openai_videos", None),
        ({}, "runway", "runway_api_secret"),
        ({"runway_api_secret": "s"}, "runway", None),
    ],
)
def test_the_missing_setting_is_named(settings: dict[str, Any], provider: str, missing: str | None) -> None:
    assert ProviderSettings(**settings).missing_for(provider) == missing


def test_settings_do_not_show_keys() -> None:
    shown = repr(ProviderSettings(runway_api_secret="very secret", openai_videos_api_key="very secret"))
    assert "very secret" not in shown
