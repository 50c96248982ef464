"""One HTTP request to a user's server, which may hang, drip, redirect or lie."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp

from services.common.addresses import AddressRefusedError, PinnedResolver

if TYPE_CHECKING:
    from services.common.addresses import UrlGuard

_GONE = "410"
_MAX_RETRY_AFTER_S = 24 * 3600.0


@dataclass(frozen=True)
class Answer:
    """What a user's server said."""

    result: str
    """HTTP status, or the kind of failure."""
    retry_after_s: float = 0.0

    @property
    def delivered(self) -> bool:
        """Any 2xx."""
        return self.result.startswith("2")

    @property
    def gone(self) -> bool:
        """The address does not want to be called any more."""
        return self.result == _GONE


class Poster:
    """Posts to vetted addresses."""

    def __init__(self, guard: UrlGuard, timeout_s: float) -> None:
        self._guard = guard
        self._timeout_s = timeout_s

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """One attempt; never raises. No redirect is followed, and of the answer only the head is read."""
        try:
            async with asyncio.timeout(self._timeout_s):
                connector = aiohttp.TCPConnector(resolver=PinnedResolver(await self._guard.addresses(url)))
                async with (
                    aiohttp.ClientSession(connector=connector, trust_env=False) as session,
                    session.post(url, data=body, headers=headers, allow_redirects=False) as response,
                ):
                    return Answer(str(response.status), retry_after_s(response.headers.get("Retry-After", "")))
        except AddressRefusedError:
            return Answer("address refused")
        except TimeoutError:
            return Answer("no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            return Answer(type(exc).__name__)


def retry_after_s(text: str) -> float:
    """Reads the header Retry-After, seconds or a date; at most a day. Nonsense is none: there is the schedule."""
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    left_s = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, left_s), _MAX_RETRY_AFTER_S)
