"""One-time tickets: what a browser, which cannot send a token with a WebSocket, shows instead of it.

They live in this process. Envoy sends all requests for a video to the same edge app, so the one that opens the socket
finds the ticket where it was made; after a restart a client asks for another.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

TTL_S = 60
_MAX_TICKETS = 100_000


@dataclass(frozen=True)
class Grant:
    """What a ticket stands for."""

    user_id: str
    request_id: str
    """The one video that may be watched with it."""
    token_expires_at: float
    """When the token that bought it expires, seconds since 1970: the socket ends then, too."""


class Tickets:
    """Makes and takes tickets."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[str, tuple[float, Grant]] = OrderedDict()

    def issue(self, grant: Grant) -> str:
        """A ticket, valid for TTL_S seconds, once."""
        self._forget_old()
        ticket = secrets.token_urlsafe(32)
        self._open[ticket] = (self._clock() + TTL_S, grant)
        return ticket

    def redeem(self, ticket: str, request_id: str) -> Grant | None:
        """What the ticket stood for; None when it is used, too old, for another video, or none of ours."""
        valid_until, grant = self._open.pop(ticket, (0.0, None))
        if grant is None or self._clock() >= valid_until or grant.request_id != request_id:
            return None
        return grant

    def _forget_old(self) -> None:
        while self._open:
            oldest = next(iter(self._open))
            if len(self._open) < _MAX_TICKETS and self._open[oldest][0] > self._clock():
                return
            del self._open[oldest]
