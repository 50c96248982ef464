"""A load of mixed tiers: small videos, twins, cancellations, and users who try each other's doors."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.client import Client
from tests.chaos.history.model import Stream
from tests.chaos.receiver import SECRET

PROMPT = "a red ball bouncing on green grass, cassowary"
CANARY = "cassowary"
"""A word of the prompt that stands nowhere else."""

SMALL: dict[str, Any] = {"prompt": PROMPT, "duration_seconds": 5, "resolution": "480p"}
VIDEOS: tuple[dict[str, Any], ...] = (
    {"model": "realtime", "num_inference_steps": 4, "enable_audio": True, "seed": 1},
    {"model": "realtime", "num_inference_steps": 5, "enable_audio": False, "seed": 2},
    {"model": "standard", "num_inference_steps": 6, "enable_audio": False, "seed": 3},
    {"model": "standard", "num_inference_steps": 8, "enable_audio": True, "seed": 4},
    {"model": "cinema", "num_inference_steps": 10, "enable_audio": False, "seed": 5},
)
"""What is asked for, again and again, so that clips can be compared."""


@dataclass(frozen=True)
class Plan:
    """What one round does."""

    videos: Sequence[Mapping[str, Any]]
    """What is asked for."""
    seed: int
    cancelled: int = 0
    """How many of them are cancelled, the last ones."""


class Load:
    """Some users at work."""

    def __init__(self, clients: list[Client], plan: Plan, webhook_url: str) -> None:
        self.clients = clients
        self.streams: list[Stream] = []
        self.listings: dict[str, list[str]] = {}
        self.over = asyncio.Event()
        """Set when every video has come to its end."""
        self._plan = plan
        self.webhook_url = webhook_url
        self._random = random.Random(plan.seed)
        self._owned: dict[str, Client] = {}

    async def run(self) -> None:
        """Asks for everything and follows it to its end."""
        orders = [self._order(number) for number in range(len(self._plan.videos))]
        await asyncio.gather(*orders)
        self.over.set()

    async def look_back(self) -> None:
        """Looks at everything once more, when it is over."""
        late = [owner.watch(video, late=True) for video, owner in self._owned.items()]
        self.streams += await asyncio.gather(*late)
        for client in self.clients:
            self.listings[client.name] = await client.listed()

    @property
    def events(self) -> int:
        """How many events all streams have brought."""
        return sum(client.events for client in self.clients)

    @property
    def answers(self) -> Counter[int]:
        """How often each status was answered."""
        return sum((client.answers for client in self.clients), Counter())

    def _order(self, number: int) -> Awaitable[None]:
        """One video, with what is done to it; all choices are made at once, so that they depend on the seed alone."""
        body = {**SMALL, **self._plan.videos[number], "webhook_url": self.webhook_url, "webhook_secret": SECRET}
        owner = self.clients[number % len(self.clients)]
        twins = self._random.choice([1, 1, 2, 3])
        is_cancelled = number >= len(self._plan.videos) - self._plan.cancelled
        key = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return self._follow(owner, key, body, twins, self._random.randint(1, 12) if is_cancelled else 0)

    async def _follow(self, owner: Client, key: str, body: dict[str, Any], twins: int, cancel_after: int) -> None:
        requests = [owner.create(key, body) for _ in range(twins)]
        first, *_ = await asyncio.gather(*requests)
        if first is None:
            return
        self._owned[first] = owner
        await owner.create(key, {**body, "seed": 99})
        watching = asyncio.create_task(owner.watch(first))
        await asyncio.gather(*self._probes(owner, first))
        if cancel_after:
            await _events_of(owner, cancel_after, watching)
            await owner.cancel(first)
            await owner.cancel(first)
        self.streams.append(await watching)

    def _probes(self, owner: Client, video: str) -> Iterator[Awaitable[None]]:
        for client in self.clients:
            for method in ("GET", "DELETE") if client is not owner else ():
                yield client.probe(method, video, exists=True)
                yield client.probe(method, str(uuid.uuid4()), exists=False)


async def _events_of(client: Client, count: int, watching: asyncio.Task[Stream]) -> None:
    """Returns after so many more events of a user's streams, or when the watched video has ended."""
    target = client.events + count
    while client.events < target and not watching.done():
        await asyncio.wait({watching}, timeout=0.05)
