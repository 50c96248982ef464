"""Headless Chromium by its DevTools protocol, as a person uses a page: find by accessible name, click, type, look."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from deploy.local.process import child_environment
from tests.support.waiting import eventually

Json = dict[str, Any]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
START_S = 60.0
WAIT_S = 45.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # needed by root, and the only pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)
_ENDPOINT = "DevTools listening on "


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """The browser of this machine; without one, the tests that look at pages are skipped."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    async with running_chromium(program, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A tab that at its end has asked nobody but its own host, broken no rule of its own and thrown nothing."""
    async with browser.page() as page:
        await page.resize(1280, 900)
        yield page
        assert page.faults == []
        assert len({urlsplit(url).netloc for url in page.requested if url.startswith("http")}) <= 1, page.requested


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of pages are kept until pytest tidies up."""
    return tmp_path_factory.mktemp("screenshots")


class ProtocolError(Exception):
    """The browser refused a command."""


class Browser:
    """One connection to one browser; every page is a session of it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._pages: dict[str, Page] = {}

    async def read(self) -> None:
        """Distributes what the browser says, to its end."""
        async for text in self._socket:
            message = json.loads(text)
            if (answer := self._answers.pop(message.get("id", 0), None)) is not None:
                answer.set_result(message)
            elif (page := self._pages.get(message.get("sessionId", ""))) is not None:
                page.note(message["method"], message["params"])

    async def call(self, method: str, session: str | None = None, **params: Any) -> Json:
        """Sends a command and returns its result."""
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        target = {"sessionId": session} if session else {}
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params, **target}))
        answer = await asyncio.wait_for(self._answers[number], WAIT_S)
        if "error" in answer:
            raise ProtocolError(f"{method}: {answer['error']['message']}")
        result: Json = answer["result"]
        return result

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """A page in a profile of its own."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        self._pages[session] = page = Page(self, session)
        try:
            for domain in ("Page", "Runtime", "DOM", "Network", "Log", "Accessibility"):
                await page.call(f"{domain}.enable")
            yield page
        finally:
            del self._pages[session]
            await self.call("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.requested: list[str] = []
        """Addresses of everything the page has asked for."""
        self.faults: list[str] = []
        """Exceptions that nobody caught, and what the page's own policy refused."""

    def note(self, method: str, params: Mapping[str, Any]) -> None:
        """Keeps what tests ask about."""
        if method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["source"] == "security":
            self.faults.append(params["entry"]["text"])

    async def call(self, method: str, **params: Any) -> Json:
        """Sends a command of the DevTools protocol to this page."""
        return await self._browser.call(method, self._session, **params)

    async def goto(self, url: str) -> None:
        """Opens an address."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise ProtocolError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    async def until(self, condition: str, *, timeout_s: float = WAIT_S) -> None:
        """Waits until an expression is true."""
        try:
            await eventually(lambda: self._holds(condition), timeout_s=timeout_s)
        except TimeoutError:
            raise AssertionError(f"never true: {condition}; the page says:\n{await self.text()}") from None

    async def _holds(self, condition: str) -> bool:
        try:
            return bool(await self.evaluate(condition))
        except ProtocolError:
            return False  # between two pages there is nothing to ask

    async def text(self) -> str:
        """What the page shows."""
        return str(await self.evaluate("document.body.innerText"))

    async def shows(self, text: str, *, timeout_s: float = WAIT_S) -> None:
        """Waits until the page shows a text."""
        await self.until(f"document.body.innerText.includes({json.dumps(text)})", timeout_s=timeout_s)

    async def hides(self, text: str, *, timeout_s: float = WAIT_S) -> None:
        """Waits until the page does not show a text."""
        await self.until(f"!document.body.innerText.includes({json.dumps(text)})", timeout_s=timeout_s)

    async def find(self, role: str, name: str) -> int:
        """Waits for an element as a screen reader knows it; returns its backend id."""
        found: list[int] = []

        async def look() -> bool:
            root = (await self.call("DOM.getDocument", depth=0))["root"]["backendNodeId"]
            tree = await self.call("Accessibility.queryAXTree", backendNodeId=root, accessibleName=name, role=role)
            found[:] = [node["backendDOMNodeId"] for node in tree["nodes"] if not node["ignored"]]
            return bool(found)

        try:
            await eventually(look, timeout_s=WAIT_S)
        except TimeoutError:
            raise AssertionError(f"no {role} is called {name!r}; the page says:\n{await self.text()}") from None
        return found[0]

    async def click(self, role: str, name: str) -> None:
        """Presses the mouse in the middle of an element, once that stands still."""
        seen: list[tuple[float, float]] = []

        async def stands_still() -> bool:
            # Found anew each time, as the page may have drawn another in its place.
            seen.append(await self._middle(await self.find(role, name)))
            return seen[-2:-1] == seen[-1:]

        await eventually(stands_still, timeout_s=WAIT_S)
        x, y = seen[-1]
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def _middle(self, node: int) -> tuple[float, float]:
        await self.call("DOM.scrollIntoViewIfNeeded", backendNodeId=node)
        left, top, right, _, _, bottom, *_ = (await self.call("DOM.getContentQuads", backendNodeId=node))["quads"][0]
        return (left + right) / 2, (top + bottom) / 2

    async def fill(self, name: str, text: str) -> None:
        """Replaces what a text field holds."""
        await self.call("DOM.focus", backendNodeId=await self.find("textbox", name))
        await self.evaluate("document.activeElement.select()")
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, *, control: bool = False) -> None:
        """Presses a key that has no text of its own, such as Tab or Enter."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": 2 if control else 0}
        text = {"text": "\r"} if key == "Enter" and not control else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def resize(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Sets the size of the window in CSS pixels, and whether the user prefers light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def offline(self, away: bool) -> None:
        """Cuts the page from the network, or gives it back."""
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await self.call("Network.emulateNetworkConditions", offline=away, **speed)

    async def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Writes a PNG of the window, or of the whole page."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))


@contextlib.asynccontextmanager
async def running_chromium(program: str, directory: Path) -> AsyncIterator[Browser]:
    """Starts a browser whose profile is in a directory; ends it."""
    log = directory / "chromium.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, *_FLAGS, f"--user-data-dir={directory}", stderr=output, stdout=output, env=child_environment({})
        )
    try:
        await eventually(lambda: _has_endpoint(log, process), timeout_s=START_S)
        async with connect(_endpoint(log), max_size=None, proxy=None) as socket:
            browser = Browser(socket)
            reading = asyncio.create_task(browser.read())
            yield browser
            reading.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _endpoint(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next((line.removeprefix(_ENDPOINT) for line in lines if line.startswith(_ENDPOINT)), "")


async def _has_endpoint(log: Path, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, f"the browser has ended:\n{log.read_text(errors='replace')}"
    return bool(_endpoint(log))
