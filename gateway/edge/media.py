"""Fetches deliverables from the object store by the presigned addresses that the orchestrator gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from services.common.errors import NotFound, Unavailable

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
CHUNK_BYTES = 64 * 2**10


class MediaStore:
    """Reads presigned addresses."""

    def __init__(self, session: aiohttp.ClientSession, endpoint_url: str | None) -> None:
        """`endpoint_url` is where the store is reached from here; None to go where the addresses lead."""
        self._session = session
        self._endpoint = URL(endpoint_url) if endpoint_url else None

    @asynccontextmanager
    async def open(self, address: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Asks for an object; the answer's status is 200, 206, 304 or 416.

        Raises:
            NotFound: There is no such object any more.
            Unavailable: The store does not answer.
        """
        url, sent = self._reached(URL(address, encoded=True), dict(headers))
        try:
            async with self._session.get(url, headers=sent, timeout=_TIMEOUT, allow_redirects=False) as response:
                if response.status not in (200, 206, 304, 416):
                    raise _refused(response.status)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "the object store did not answer") from error

    def _reached(self, url: URL, headers: dict[str, str]) -> tuple[URL, dict[str, str]]:
        if self._endpoint is None:
            return url, headers
        # The signature covers host and path, so both are sent as signed.
        inside = url.with_scheme(self._endpoint.scheme).with_host(self._endpoint.host or "")
        return inside.with_port(self._endpoint.port), {**headers, "Host": url.raw_authority}


def _refused(status: int) -> NotFound | Unavailable:
    if status == 404:
        return NotFound("RESOURCE_NOT_FOUND", "the file is no more")
    return Unavailable("DEPENDENCY_UNAVAILABLE", "the object store refused the request")


@asynccontextmanager
async def open_media(endpoint_url: str | None) -> AsyncIterator[MediaStore]:
    """A store with connections of its own."""
    async with aiohttp.ClientSession(auto_decompress=False, trust_env=False) as session:
        yield MediaStore(session, endpoint_url)
