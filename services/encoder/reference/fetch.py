"""Downloads a file from an address that a user gave, whose server may lie, drip, redirect or never end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import aiohttp

from services.common.addresses import AddressRefusedError, PinnedResolver

if TYPE_CHECKING:
    from services.common.addresses import UrlGuard

_MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_CHUNK_BYTES = 256 * 1024
# Nothing is unpacked: a few kilobytes could become gigabytes.
_HEADERS = {"Accept": "video/*", "Accept-Encoding": "identity", "User-Agent": "Kinemesh"}


@dataclass(frozen=True)
class FetchLimits:
    """What a download may take."""

    max_bytes: int
    timeout_s: float
    """For everything, with all redirects."""


class FetchError(Exception):
    """The file could not be had; the text is public. `permanent` tells whether another attempt would fail, too."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Fetcher:
    """Downloads from vetted addresses."""

    def __init__(self, guard: UrlGuard, limits: FetchLimits) -> None:
        self._guard = guard
        self._limits = limits

    async def fetch(self, url: str, target: Path) -> None:
        """Writes the file to `target`. Each redirect's address is vetted as the first one's was.

        Raises:
            FetchError: There is none within the limits.
        """
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                await self._follow(url, target)
        except AddressRefusedError as exc:
            raise FetchError(f"its address {exc}", permanent=True) from exc
        except TimeoutError as exc:
            raise FetchError("it did not come in time", permanent=True) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise FetchError("its server could not be read", permanent=False) from exc

    async def _follow(self, url: str, target: Path) -> None:
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._asked(url) as response:
                if response.status not in _REDIRECTS:
                    return await self._save(response, target)
                url = urljoin(url, response.headers.get("Location", ""))
        raise FetchError("its server redirects too often", permanent=True)

    @asynccontextmanager
    async def _asked(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Asks with a connection of its own: the pin is for this one address."""
        connector = aiohttp.TCPConnector(resolver=PinnedResolver(await self._guard.addresses(url)))
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False) as session,
            session.get(url, headers=_HEADERS, allow_redirects=False) as response,
        ):
            yield response

    async def _save(self, response: aiohttp.ClientResponse, target: Path) -> None:
        if response.status != HTTPStatus.OK:
            temporary = response.status >= 500 or response.status == 429
            raise FetchError(f"its server answers {response.status}", permanent=not temporary)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError("its server sends it compressed", permanent=True)
        self._require_room(response.content_length or 0)
        received = 0
        with target.open("wb") as file:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                received += len(chunk)
                self._require_room(received)
                await asyncio.to_thread(file.write, chunk)

    def _require_room(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_bytes:
            raise FetchError(f"it is larger than {self._limits.max_bytes // 2**20} MiB", permanent=True)
