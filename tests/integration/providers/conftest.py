"""Each provider as a fake, and what a worker needs to drive it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
import pytest_asyncio
import yaml

from services.common.catalogue import Catalogue
from services.worker.providers.build import make_served
from services.worker.providers.offers import Served
from services.worker.providers.protocol import Order, Provider
from services.worker.providers.settings import ProviderSettings
from tests.support.media import moving_scene, write_mp4
from tests.support.providers.fake import KEY, FakeProvider, serving
from tests.support.providers.openai import FakeOpenAI
from tests.support.providers.runway import FakeRunway
from tests.support.providers.veo import PROJECT, FakeVeo

ModelOf = Literal["VEO3", "SORA", "GEN4"]
FAKES: dict[ModelOf, type[FakeProvider]] = {"VEO3": FakeVeo, "SORA": FakeOpenAI, "GEN4": FakeRunway}
_MODELS = Path(__file__).parents[3] / "deploy" / "models.yaml"


def provider_catalogue() -> Catalogue:
    """The providers' models as the repository describes them."""
    entries = yaml.safe_load(_MODELS.read_text())["models"]
    return Catalogue.model_validate({"default_model": "VEO3", "models": {name: entries[name] for name in FAKES}})


def settings_for(fake: FakeProvider, folder: Path, *, key: str = KEY) -> dict[str, Any]:
    """Settings by which a worker finds a fake."""
    if isinstance(fake, FakeVeo):
        token = folder / "token"
        token.write_text(f"{key}\n")
        return {"vertex_project": PROJECT, "vertex_access_token_file": token, "vertex_base_url": fake.url}
    if isinstance(fake, FakeOpenAI):
        return {"openai_videos_base_url": f"{fake.url}/v1", "openai_videos_api_key": key}
    return {"runway_api_secret": key, "runway_base_url": fake.url}


@dataclass(frozen=True)
class Bench:
    """A fake, and the adapter that drives it."""

    model: ModelOf
    fake: FakeProvider
    provider: Provider
    folder: Path

    def order(self, **changes: Any) -> Order:
        """An order of five seconds with sound."""
        entry = provider_catalogue().provider_models[self.model]
        width, height = entry.native.sizes["16:9"]
        values: dict[str, Any] = {
            "model": entry.provider_model,
            "prompt": "a lake",
            "negative_prompt": "",
            "seed": 2**40 + 7,
            "width": width,
            "height": height,
            "aspect_ratio": "16:9",
            "length_s": 8,
            "sound": True,
            "first_frame": None,
            "key": "job-0",
        }
        return Order(**{**values, **changes})


@asynccontextmanager
async def driving(
    model: ModelOf, fake: FakeProvider, folder: Path, *, key: str = KEY, **changes: Any
) -> AsyncIterator[Bench]:
    """The adapter for a fake that is served already."""
    settings = ProviderSettings(**{"provider_request_s": 10, **settings_for(fake, folder, key=key), **changes})
    async with aiohttp.ClientSession() as session:
        served: Served = make_served(settings, provider_catalogue(), session)[model]
        yield Bench(model, fake, served.provider, folder)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What every fake sends: eight seconds that move, with a tone."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_mp4(path, moving_scene(8 * 12), 12, sound=True)
    return path.read_bytes()


@pytest_asyncio.fixture(loop_scope="session", params=list(FAKES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path, clip: bytes) -> AsyncIterator[Bench]:
    model: ModelOf = request.param
    async with serving(FAKES[model](video=clip)) as fake, driving(model, fake, tmp_path) as bench:
        yield bench
