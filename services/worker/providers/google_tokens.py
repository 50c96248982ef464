"""Access tokens for Google's APIs, by OAuth 2.0 for service accounts (RFC 7523) or from a file that others renew."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import aiohttp
import jwt

from services.worker.providers.protocol import KeyRefusedError, RetryLaterError

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_S = 3600
_RENEW_BEFORE_S = 300.0
_TIMEOUT_S = 15.0


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self) -> str:
        """Returns one that is good now.

        Raises:
            KeyRefusedError: there is none to be had with this key.
            RetryLaterError: not now.
        """


class FileTokens:
    """A token that another program keeps in a file; read for every call, so that a new one counts at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Reads it; see Tokens."""
        try:
            return (await asyncio.to_thread(self._path.read_text, encoding="utf-8")).strip()
        except OSError as error:
            raise KeyRefusedError("the file with the access token cannot be read") from error


class ServiceAccountTokens:
    """Tokens for a service account's private key."""

    def __init__(self, session: aiohttp.ClientSession, key_file: Path) -> None:
        account: Mapping[str, str] = json.loads(key_file.read_text(encoding="utf-8"))
        self._session = session
        self._email, self._private_key = account["client_email"], account["private_key"]
        self._token_url = account["token_uri"]
        self._token, self._good_until = "", 0.0
        self._one_at_a_time = asyncio.Lock()

    async def token(self) -> str:
        """Returns the present one, or asks for the next; see Tokens."""
        async with self._one_at_a_time:
            if time.monotonic() > self._good_until - _RENEW_BEFORE_S:
                self._token, lifetime_s = await self._ask()
                self._good_until = time.monotonic() + lifetime_s
            return self._token

    async def _ask(self) -> tuple[str, float]:
        form = {"grant_type": _GRANT, "assertion": self._assertion()}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with self._session.post(self._token_url, data=form, timeout=timeout) as response:
                if 400 <= response.status < 500 and response.status != 429:
                    raise KeyRefusedError(f"no access token: HTTP {response.status}")
                answer = await response.json()
                return str(answer["access_token"]), float(answer["expires_in"])
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
            raise RetryLaterError(f"no access token: {type(error).__name__}") from error

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {"iss": self._email, "scope": _SCOPE, "aud": self._token_url, "iat": now, "exp": now + _LIFETIME_S}
        return jwt.encode(claims, self._private_key, algorithm="RS256")
