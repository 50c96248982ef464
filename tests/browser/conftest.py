"""One gateway and one played mesh for all tests; for each test a page and a user."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.browser.media import make_video
from tests.browser.mesh import Mesh
from tests.support.chromium import Page
from tests.support.gateway import Gateway, running_gateway

_HERE = Path(__file__).parent
MAX_BODY_BYTES = 4 * 2**20
"""The gateway's own limit; below that of a first frame, so that the page can meet it."""
_CHOOSE = """((label, value) => {
    const select = [...document.querySelectorAll('select')].find(each => each.labels[0].innerText === label)
    select.value = value
    select.dispatchEvent(new Event('change', {bubbles: true}))
})"""
_users = (f"user-{number}" for number in itertools.count(1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test also waits for the browser and the gateway."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(300))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh() -> Mesh:
    """The services, as the tests play them."""
    return Mesh()  # type: ignore[abstract]  # the page calls no others


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """The real gateway; `/media/` leads to one finished video."""
    directory = tmp_path_factory.mktemp("studio-gateway")
    media = tmp_path_factory.mktemp("media")
    make_video(media, tmp_path_factory.mktemp("studio-media"))
    async with _serving(media) as address:
        settings = {"objectstore_address": address, "max_body_bytes": MAX_BODY_BYTES}
        async with running_gateway(directory, mesh.server(), **settings) as it:
            mesh.media_url = f"{it.url}/media"
            yield it


@contextlib.asynccontextmanager
async def _serving(directory: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_static("/media", directory)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@dataclass(frozen=True)
class Visit:
    """A user at the studio."""

    page: Page
    mesh: Mesh
    gateway: Gateway
    user: str

    async def open(self, fragment: str = "") -> None:
        """Opens the studio with a good token, as the address that `make up` prints does."""
        await self.page.goto(f"{self.gateway.url}/#token={self.gateway.token(self.user)}")
        await self.page.shows("New video")
        if fragment:
            await self.page.evaluate(f"location.hash = '{fragment}'")

    async def choose(self, label: str, value: str) -> None:
        """Chooses in a list."""
        await self.page.find("combobox", label)
        await self.page.evaluate(f"{_CHOOSE}({json.dumps(label)}, {json.dumps(value)})")

    async def open_section(self, name: str) -> None:
        """Opens the options behind a name."""
        await self.page.shows(name)
        await self.page.evaluate(
            f"[...document.querySelectorAll('details')].find(each => each.innerText.startsWith({json.dumps(name)}))"
            ".open = true"
        )


@pytest_asyncio.fixture(loop_scope="session")
async def visit(page: Page, mesh: Mesh, gateway: Gateway) -> Visit:
    """A user of the test's own."""
    return Visit(page, mesh, gateway, next(_users))
