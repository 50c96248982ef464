"""The sender of webhooks, without a database and without a network."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Collection
from typing import Any, cast
from uuid import UUID

import pytest

from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs, webhooks
from services.orchestrator.store.webhooks import Delivery
from services.orchestrator.webhooks.addresses import AddressRefusedError
from services.orchestrator.webhooks.secrets import WebhookSecrets
from services.orchestrator.webhooks.sender import SendPolicy, WebhookSender
from tests.support.waiting import eventually
from tests.unit.orchestrator.builders import NOW, make_job

SECRETS = WebhookSecrets(base64.b64encode(b"m" * 32).decode())
OTHER_SECRETS = WebhookSecrets(base64.b64encode(b"n" * 32).decode())


class Table:
    """The deliveries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hosts: list[str], secret: bytes | None = None) -> None:
        self.due = [
            Delivery(UUID(int=i), UUID(int=i), "video.failed", 1, f"https://{host}", NOW)
            for i, host in enumerate(hosts)
        ]
        self.hosts = hosts
        self.ended: dict[str, tuple[str, str]] = {}
        self._secret = secret
        for module, name in ((webhooks, "take_due"), (webhooks, "end"), (webhooks, "seconds_overdue"), (jobs, "get")):
            monkeypatch.setattr(module, name, getattr(self, name))

    async def take_due(self, pool: Any, hold_s: float, limit: int, busy: Collection[str]) -> list[Delivery]:
        taken = next((delivery for delivery in self.due if delivery.endpoint not in busy), None)
        if taken is None:
            return []
        self.due.remove(taken)
        return [taken]

    async def end(self, pool: Any, delivery_id: UUID, state: str, result: str) -> None:
        self.ended[self.hosts[delivery_id.int]] = (state, result)

    async def seconds_overdue(self, pool: Any) -> float:
        return 0.0

    async def get(self, pool: Any, request_id: UUID) -> Any:
        url = f"https://{self.hosts[request_id.int]}/x"
        return make_job(Status.FAILED, request_id=request_id, webhook_url=url, webhook_secret=self._secret)


class Guard:
    """Hangs for some hosts and refuses the others, so that nothing is sent."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def addresses(self, url: str) -> list[str]:
        self.asked.append(url)
        if "hangs" in url:
            await asyncio.Event().wait()
        raise AddressRefusedError


async def _all_ended(table: Table, hosts: Collection[str]) -> bool:
    return set(hosts) <= set(table.ended)


async def send(guard: Guard, table: Table, *hosts: str) -> None:
    """Runs until these are settled."""
    policy = SendPolicy(timeout_s=60, retry_delays_s=())
    sender = WebhookSender(cast(Any, None), cast(Any, guard), SECRETS, policy, lambda job: {})
    running = asyncio.create_task(sender.run(0.001))
    await eventually(lambda: _all_ended(table, hosts), timeout_s=5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_receiver_that_hangs_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, table = Guard(), Table(monkeypatch, ["hangs.example", "hangs.example", "b.example", "c.example"])
    await send(guard, table, "b.example", "c.example")
    assert set(table.ended) == {"b.example", "c.example"}
    assert guard.asked.count("https://hangs.example/x") == 1


async def test_a_secret_of_an_earlier_master_secret_ends_the_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted = OTHER_SECRETS.encrypt(f"whsec_{base64.b64encode(b'k' * 24).decode()}")
    guard, table = Guard(), Table(monkeypatch, ["a.example"], encrypted)
    await send(guard, table, "a.example")
    assert table.ended == {"a.example": ("GIVEN_UP", "secret unreadable")}
    assert guard.asked == []
