"""One HTTP call to a provider: JSON in, JSON or a file out, errors told apart."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from services.worker.providers.protocol import (
    KeyRefusedError,
    LostAnswerError,
    OperationFailedError,
    RejectedError,
    RetryLaterError,
)

Json = dict[str, Any]
Headers = Callable[[], Awaitable[Mapping[str, str]]]

_LATER = {408, 409, 425, 429, 500, 502, 503, 504}
_KEY = {401, 403}
_GONE = {404, 410}
_MAX_RETRY_AFTER_S = 3600.0
_CHUNK_BYTES = 1024 * 1024
_SMALL_BYTES = 1024 * 1024
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True)
class Answer:
    """What a provider answered."""

    status: int
    body: Json
    """Its JSON object; empty where it is none."""
    retry_after_s: float | None

    def require_ok(self) -> Json:
        """Returns the body of a success.

        Raises:
            RetryLaterError, LostAnswerError, KeyRefusedError, RejectedError: for any other.
        """
        if self.status in _LATER:
            raise RetryLaterError(f"HTTP {self.status}", self.retry_after_s)
        if self.status in _KEY:
            raise KeyRefusedError(f"HTTP {self.status}")
        if not self.ok:
            raise RejectedError(f"HTTP {self.status}")
        if not self.body:
            raise LostAnswerError(f"HTTP {self.status} without a JSON object")
        return self.body

    @property
    def ok(self) -> bool:
        """Any 2xx."""
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether there is no such thing."""
        return self.status in _GONE


@dataclass(frozen=True)
class Caps:
    """What a provider may cost us."""

    request_s: float
    """Seconds a call may take."""
    download_s: float
    """Seconds a video may take to come."""
    result_bytes: int
    """Largest video."""


class Api:
    """One provider's API."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, headers: Headers, caps: Caps) -> None:
        self._session = session
        self._base = URL(base_url.rstrip("/"))
        self._headers = headers
        self.caps = caps

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = _SMALL_BYTES,
        **body: Any,
    ) -> Answer:
        """Makes one call.

        Args:
            method: GET, POST or DELETE.
            path: Follows the base URL.
            headers: Sent besides the key.
            most_bytes: The largest answer.
            body: aiohttp's json= or data=.

        Raises:
            RetryLaterError: it cannot be reached.
            LostAnswerError: no whole answer came.
        """
        sent = {**await self._headers(), **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=self.caps.request_s)
        try:
            async with self._session.request(
                method, f"{self._base}{path}", headers=sent, timeout=timeout, allow_redirects=False, **body
            ) as response:
                content = await _read(response, most_bytes)
                return Answer(response.status, _parse(content), retry_after_s(response.headers.get("Retry-After", "")))
        except _NOT_SENT as error:
            raise RetryLaterError(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LostAnswerError(type(error).__name__) from error

    async def download(self, url: str, path: Path) -> None:
        """Writes what is at a URL, or at a path of the API; the key goes to the provider's own host alone.

        Raises:
            RetryLaterError: not now.
            KeyRefusedError: the key is no good.
            OperationFailedError: it is not there, or too large.
        """
        target = URL(f"{self._base}{url}") if url.startswith("/") else URL(url)
        if target.scheme not in {"http", "https"}:
            raise OperationFailedError("the result is at no web address")
        headers = await self._headers() if target.origin() == self._base.origin() else {}
        timeout = aiohttp.ClientTimeout(total=self.caps.download_s, sock_read=self.caps.request_s)
        try:
            async with self._session.get(target, headers=headers, timeout=timeout, max_redirects=3) as response:
                if response.status != 200:
                    await _refuse(response)
                await self._save(response, path)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryLaterError(type(error).__name__) from error

    async def _save(self, response: aiohttp.ClientResponse, path: Path) -> None:
        left = self.caps.result_bytes
        with path.open("wb") as file:
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                if (left := left - len(chunk)) < 0:
                    raise OperationFailedError("the result is too large")
                file.write(chunk)


async def _refuse(response: aiohttp.ClientResponse) -> None:
    answer = Answer(response.status, {}, retry_after_s(response.headers.get("Retry-After", "")))
    if answer.gone:
        raise OperationFailedError("the result is gone")
    answer.require_ok()


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > most_bytes:
            raise LostAnswerError("the answer is too large")
    return bytes(content)


def _parse(content: bytes) -> Json:
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def retry_after_s(text: str) -> float | None:
    """Reads the header Retry-After, seconds or a date; at most an hour. None for nonsense."""
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    left_s = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, left_s), _MAX_RETRY_AFTER_S)
