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
from services.orchestrator.domain.spec import url_problem

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""Resolves (host, port) to addresses; raises OSError."""

_LOOKUP_S = 3.0
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

    async def vet_submitted(self, url: str) -> None:
        """Refuses a URL that is known to lead to a private address.

        A name that cannot be resolved now may be later; it is vetted again when it is called.

        Raises:
            InvalidArgument: WEBHOOK_URL_REFUSED.
        """
        try:
            await self.addresses(url)
        except AddressRefusedError as exc:
            violation = FieldViolation("webhook_url", str(exc))
            raise InvalidArgument.of_fields(violation, reason="WEBHOOK_URL_REFUSED") from exc
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
