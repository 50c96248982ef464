"""Keeps users' URLs from leading into the installation's own network.

A URL is vetted when it is submitted and again when it is called, where the connection is pinned to an address that was
vetted in that very moment: a name that has changed its address meanwhile gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from services.common.errors import FieldViolation, InvalidArgument

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""Resolves (host, port) to addresses; raises OSError."""

MAX_URL = 2048
"""Characters."""
_LOOKUP_S = 3.0
_WEB_PORTS = {80, 443}
_FIRST_FREE_PORT = 1024
"""The ports below belong to other protocols: nobody shall have us talk to a mail server or a resolver."""
# Python 3.11's is_global is True for these, or for addresses that embed private ones.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "100.64.0.0/10",
        "224.0.0.0/4",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "ff00::/8",
    )
)


class AddressRefusedError(Exception):
    """The URL does not lead to a public address."""


def url_problem(url: str) -> str | None:
    """What is wrong with a URL on its face; None when nothing is. Its address is vetted by `UrlGuard`."""
    if len(url) > MAX_URL:
        return f"must have at most {MAX_URL} characters"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "must be a URL in ASCII"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "must be a URL"
    if parts.scheme not in {"https", "http"} or not usable:
        return "must be an https URL"
    if parts.username is not None or parts.password is not None:
        return "must not contain credentials"
    is_web = parts.port in _WEB_PORTS or parts.port is None or parts.port >= _FIRST_FREE_PORT
    return None if is_web else "must have port 443, port 80 or one from 1024"


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public internet, itself and not by embedding another."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


class UrlGuard:
    """Vets URLs."""

    def __init__(self, *, allow_private: bool, lookup: Lookup | None = None) -> None:
        self._allow_private = allow_private
        self._lookup = lookup or _system_lookup

    async def vet_submitted(self, url: str, *, field: str, reason: str) -> None:
        """Refuses a URL that is known to lead to a private address.

        A name that cannot be resolved now may be later; it is vetted again when it is called.

        Raises:
            InvalidArgument: With the reason, naming the field.
        """
        try:
            await self.addresses(url)
        except AddressRefusedError as exc:
            raise InvalidArgument.of_fields(FieldViolation(field, str(exc)), reason=reason) from exc
        except (OSError, TimeoutError):
            return

    async def addresses(self, url: str) -> list[str]:
        """Resolves a URL's host to addresses that may be called.

        Raises:
            AddressRefusedError: The scheme is not https, or an address is not public.
            OSError: The name cannot be resolved.
            TimeoutError: Not in time.
        """
        parts = urlsplit(url)
        if url_problem(url) or parts.hostname is None:
            raise AddressRefusedError("must be an https URL")
        if parts.scheme != "https" and not self._allow_private:
            raise AddressRefusedError("must be an https URL")
        try:
            async with asyncio.timeout(_LOOKUP_S):
                found = await self._lookup(parts.hostname, parts.port or 443)
        except UnicodeError as exc:
            # Empty or overlong labels: no name that anybody could have.
            raise AddressRefusedError("must name a host") from exc
        if not self._allow_private and not all(is_public(address) for address in found):
            raise AddressRefusedError("must lead to a public address")
        return found


class PinnedResolver(AbstractResolver):
    """Resolves every name to the addresses that were vetted for this one call."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The vetted addresses, whatever `host` resolves to by now."""
        del family
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def _system_lookup(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
