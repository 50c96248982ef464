"""The sender of webhooks, without a database and without a network."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast
from uuid import UUID

import pytest

from services.orchestrator.domain.status import Status
from services.orchestrator.settings import Settings
from services.orchestrator.store import jobs, webhook_secrets, webhooks
from services.orchestrator.store.webhooks import Delivery, Limits, Outcome
from services.orchestrator.webhooks import sender
from services.orchestrator.webhooks.keyring import Keyring
from services.orchestrator.webhooks.post import Answer, retry_after_s
from services.orchestrator.webhooks.secrets import WebhookSecrets
from services.orchestrator.webhooks.sender import SendPolicy, WebhookSender
from tests.support.waiting import eventually
from tests.unit.orchestrator.builders import make_job

SECRETS = WebhookSecrets(base64.b64encode(b"m" * 32).decode())
OTHER_SECRETS = WebhookSecrets(base64.b64encode(b"n" * 32).decode())
DELAYS = (5.0, 300.0)


class Table:
    """The deliveries: one of each host, every one at the given place of its schedule."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, hosts: list[str], secret: bytes | None = None, tries: int = 1
    ) -> None:
        self.due = [Delivery(UUID(int=i), UUID(int=i), "video.failed", tries, tries) for i in range(len(hosts))]
        self.hosts = hosts
        self.ended: dict[str, tuple[str, str]] = {}
        self.planned: dict[str, float] = {}
        self.gone: set[str] = set()
        self._secret = secret
        for name in ("take_due", "end", "retry", "seconds_overdue", "is_gone", "note_gone"):
            monkeypatch.setattr(webhooks, name, getattr(self, name))
        monkeypatch.setattr(jobs, "get", self.get)
        monkeypatch.setattr(webhook_secrets, "valid", self.valid)
        monkeypatch.setattr(sender, "transact", self.transact)

    async def transact(self, pool: Any, work: Callable[[Any], Awaitable[None]]) -> None:
        await work(None)

    async def take_due(self, pool: Any, hold_s: float, limit: int, limits: Limits) -> list[Delivery]:
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    async def end(self, connection: Any, delivery: Delivery, outcome: Outcome, state: str) -> None:
        self.ended[self.hosts[delivery.delivery_id.int]] = (state, outcome.result)

    async def retry(self, connection: Any, delivery: Delivery, outcome: Outcome, delay_s: float) -> None:
        self.planned[self.hosts[delivery.delivery_id.int]] = delay_s

    async def seconds_overdue(self, pool: Any) -> float:
        return 0.0

    async def is_gone(self, pool: Any, user_id: str, url: str) -> bool:
        return url in self.gone

    async def note_gone(self, connection: Any, user_id: str, url: str) -> None:
        self.gone.add(url)

    async def valid(self, pool: Any, user_id: str) -> list[bytes]:
        return []

    async def get(self, pool: Any, request_id: UUID) -> Any:
        url = f"https://{self.hosts[request_id.int]}/x"
        return make_job(Status.FAILED, request_id=request_id, webhook_url=url, webhook_secret=self._secret)


class Servers:
    """Hangs where the host says so, and answers the others."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.asked: list[str] = []
        self._answer = answer or Answer("204")

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        self.asked.append(url)
        if "hangs" in url:
            await asyncio.Event().wait()
        return self._answer


async def send(servers: Servers, table: Table, *hosts: str, at_once: int = 20) -> None:
    """Runs until these are settled."""

    async def settled() -> bool:
        return set(hosts) <= table.ended.keys() | table.planned.keys()

    policy = SendPolicy(poll_s=60, hold_s=60, retry_delays_s=DELAYS, limits=Limits(at_once, 1, 1))
    keyring = Keyring(cast(Any, None), SECRETS)
    running = asyncio.create_task(
        WebhookSender(cast(Any, None), cast(Any, servers), keyring, policy, lambda job: {}).run()
    )
    await eventually(settled, timeout_s=5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_receiver_that_hangs_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch, ["hangs.example", "b.example", "c.example"])
    await send(Servers(), table, "b.example", "c.example")
    assert table.ended == {"b.example": ("DELIVERED", "204"), "c.example": ("DELIVERED", "204")}


async def test_the_end_of_one_attempt_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch, ["a.example", "b.example", "c.example"])
    await send(Servers(), table, "c.example", at_once=1)


async def test_a_secret_of_an_earlier_master_secret_ends_the_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted = OTHER_SECRETS.encrypt(f"whsec_{base64.b64encode(b'k' * 24).decode()}")
    servers, table = Servers(), Table(monkeypatch, ["a.example"], encrypted)
    await send(servers, table, "a.example")
    assert table.ended == {"a.example": ("GIVEN_UP", "secret unreadable")}
    assert servers.asked == []


async def test_an_address_that_is_gone_is_not_called_for_other_videos_either(monkeypatch: pytest.MonkeyPatch) -> None:
    servers, table = Servers(Answer("410")), Table(monkeypatch, ["a.example"])
    await send(servers, table, "a.example")
    assert table.ended == {"a.example": ("GIVEN_UP", "410")}
    table.due, table.ended = [Delivery(UUID(int=0), UUID(int=0), "video.failed", 1, 1)], {}
    await send(servers, table, "a.example")
    assert table.ended == {"a.example": ("GIVEN_UP", "address is gone")}
    assert len(servers.asked) == 1


@pytest.mark.parametrize(("tries", "answer", "least_s"), [(1, "500", 5), (2, "500", 300), (1, "301", 5)])
async def test_what_is_refused_is_tried_again_by_the_schedule(
    monkeypatch: pytest.MonkeyPatch, tries: int, answer: str, least_s: float
) -> None:
    table = Table(monkeypatch, ["a.example"], tries=tries)
    await send(Servers(Answer(answer)), table, "a.example")
    assert least_s <= table.planned["a.example"] <= least_s * 1.2


async def test_after_the_schedule_s_end_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch, ["a.example"], tries=len(DELAYS) + 1)
    await send(Servers(Answer("500")), table, "a.example")
    assert table.ended == {"a.example": ("GIVEN_UP", "500")}


async def test_a_receiver_may_ask_for_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(monkeypatch, ["a.example"])
    await send(Servers(Answer("429", retry_after_s=3600)), table, "a.example")
    assert table.planned == {"a.example": 3600}


def test_the_default_schedule_is_the_standard_s() -> None:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
    minutes, hours = 60, 3600
    wanted = (5, 5 * minutes, 30 * minutes, 2 * hours, 5 * hours, 10 * hours, 14 * hours, 20 * hours, 24 * hours)
    assert Settings.model_fields["webhook_retry_delays_s"].default == wanted


def test_retry_after_is_seconds_or_a_date_and_never_more_than_a_day() -> None:
    assert retry_after_s("120") == 120
    assert retry_after_s("9" * 30) == 24 * 3600
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3590 < retry_after_s(in_an_hour) <= 3600
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    assert [retry_after_s(text) for text in (past, "", "soon", "-1", "١")] == [0, 0, 0, 0, 0]
