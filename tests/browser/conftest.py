"""One browser, one gateway and one played mesh for all tests; for each a page, a user and a look at its conduct."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.browser.chromium import Browser, Page, executable, running_chromium
from tests.browser.media import make_video
from tests.browser.mesh import Mesh
from tests.support.gateway import Gateway, running_gateway

_HERE = Path(__file__).parent
_users = (f"user-{number}" for number in itertools.count(1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser there is nothing to look with."""
    missing = pytest.mark.skipif(executable() is None, reason="no Chromium here: apt-get install chromium")
    for item in items:
        if _HERE in item.path.parents and "page" in getattr(item, "fixturenames", ()):
            item.add_marker(missing)
            item.add_marker(pytest.mark.integration)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Chromium."""
    async with running_chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh() -> Mesh:
    """The services, as the tests play them."""
    return Mesh()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """The real gateway; `/media/` leads to one finished video."""
    directory = tmp_path_factory.mktemp("studio-gateway")
    media = tmp_path_factory.mktemp("media")
    make_video(media, tmp_path_factory.mktemp("studio-media"))
    async with _serving(media) as address, running_gateway(directory, mesh.server(), objectstore_address=address) as it:
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


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, gateway: Gateway) -> AsyncIterator[Page]:
    """A tab that at its end has asked nobody but the gateway, broken no rule of its own and thrown nothing."""
    async with browser.page() as page:
        await page.resize(1280, 900)
        yield page
        assert page.faults == []
        assert [url for url in page.requested if not url.startswith((gateway.url, "blob:", "data:"))] == []


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


@pytest_asyncio.fixture(loop_scope="session")
async def visit(page: Page, mesh: Mesh, gateway: Gateway) -> Visit:
    """A user of the test's own."""
    return Visit(page, mesh, gateway, next(_users))


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the page are kept until pytest tidies up."""
    return tmp_path_factory.mktemp("screenshots")
