"""Delivers webhooks: at least once, signed, by schedule, to vetted addresses only."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client import Counter, Gauge

from services.common.faults import race_point
from services.common.lifecycle import every
from services.common.telemetry.metrics import BACKGROUND_ERRORS
from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs, webhooks
from services.orchestrator.webhooks.addresses import AddressRefusedError, PinnedResolver, UrlGuard
from services.orchestrator.webhooks.secrets import SecretUnreadableError
from services.orchestrator.webhooks.signature import headers

if TYPE_CHECKING:
    from services.common.postgres import Pool
    from services.orchestrator.domain.job import Job
    from services.orchestrator.store.webhooks import Delivery
    from services.orchestrator.webhooks.secrets import WebhookSecrets

ATTEMPTS = Counter("kinemesh_webhook_attempts_total", "Attempts to deliver a webhook, by result.", ["result"])
LAG = Gauge("kinemesh_webhook_lag_seconds", "Age of the webhook that has been due for longest.")
_AT_ONCE = 20
_GONE = 410
_MAX_RETRY_AFTER_S = 24 * 3600.0

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class SendPolicy:
    """How deliveries are tried."""

    timeout_s: float
    retry_delays_s: tuple[float, ...]


class WebhookSender:
    """Delivers what is due."""

    def __init__(
        self,
        pool: Pool,
        guard: UrlGuard,
        secrets: WebhookSecrets,
        policy: SendPolicy,
        describe_output: Callable[[Job], dict[str, Any]],
    ) -> None:
        self._pool = pool
        self._guard = guard
        self._secrets = secrets
        self._policy = policy
        self._describe_output = describe_output
        self._busy: set[str] = set()
        """Endpoints that are being called: one call each, so that one that hangs keeps nobody else's waiting."""

    async def run(self, poll_s: float) -> None:
        """Delivers until cancelled.

        Args:
            poll_s: Seconds between looks for what is due; an endpoint gets at most one delivery in that time.
        """
        async with asyncio.TaskGroup() as deliveries:
            await every(poll_s, partial(self._start_due, deliveries), name="webhooks")

    async def _start_due(self, deliveries: asyncio.TaskGroup) -> None:
        hold_s = self._policy.timeout_s * 2 + 10
        for delivery in await webhooks.take_due(self._pool, hold_s, _AT_ONCE - len(self._busy), self._busy):
            self._busy.add(delivery.endpoint)
            deliveries.create_task(self._attempt(delivery))
        LAG.set(await webhooks.seconds_overdue(self._pool))

    async def _attempt(self, delivery: Delivery) -> None:
        """Never raises: an attempt that failed for our own fault is due again when its hold ends."""
        try:
            await self._deliver(delivery)
        except Exception:
            BACKGROUND_ERRORS.labels("webhooks").inc()
            logger.exception("webhook not attempted", extra={"job_id": str(delivery.request_id)})
        finally:
            self._busy.discard(delivery.endpoint)

    async def _deliver(self, delivery: Delivery) -> None:
        job = await jobs.get(self._pool, delivery.request_id)
        if job is None or job.webhook_url is None:
            await webhooks.end(self._pool, delivery.delivery_id, "GIVEN_UP", "no address")
            return
        try:
            key = self._secrets.signing_key(job.user_id, job.webhook_secret)
        except SecretUnreadableError:
            ATTEMPTS.labels("failed").inc()
            logger.error("webhook secret unreadable", extra={"job_id": str(job.request_id)})  # noqa: TRY400 - says all
            await webhooks.end(self._pool, delivery.delivery_id, "GIVEN_UP", "secret unreadable")
            return
        body = json.dumps(self._body(delivery, job)).encode()
        signed = headers(key, str(delivery.delivery_id), int(time.time()), body)
        answer = await self._post(job.webhook_url, signed, body)
        race_point("orchestrator.webhook.posted")
        ATTEMPTS.labels("delivered" if answer.delivered else "failed").inc()
        fields = {"job_id": str(job.request_id), "result": answer.result, "attempt": delivery.attempts}
        logger.info("webhook attempted", extra=fields)
        await self._settle(delivery, answer)

    async def _settle(self, delivery: Delivery, answer: Answer) -> None:
        delays = self._policy.retry_delays_s
        if answer.delivered:
            await webhooks.end(self._pool, delivery.delivery_id, "DELIVERED", answer.result)
        elif answer.result == str(_GONE) or delivery.attempts > len(delays):
            await webhooks.end(self._pool, delivery.delivery_id, "GIVEN_UP", answer.result)
        else:
            delay_s = max(delays[delivery.attempts - 1] * random.uniform(1, 1.2), answer.retry_after_s)
            await webhooks.retry(self._pool, delivery.delivery_id, answer.result, delay_s)

    def _body(self, delivery: Delivery, job: Job) -> dict[str, Any]:
        """The source's body; addresses are made afresh for every attempt, so that they have not expired."""
        moment = delivery.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        outcome: dict[str, Any] = {}
        if job.status is Status.COMPLETED:
            outcome["output"] = self._describe_output(job)
        elif job.status is Status.FAILED:
            outcome["error"] = {"code": job.error_code, "message": job.error_message}
        else:
            outcome["blocked_reason"] = job.blocked_reason
        begin = {"event": delivery.event, "request_id": str(job.request_id), "status": job.status.value}
        return {**begin, **outcome, "timestamp": moment}

    async def _post(self, url: str, signed: dict[str, str], body: bytes) -> Answer:
        """One attempt; never raises. The answer's body is not read."""
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                connector = aiohttp.TCPConnector(resolver=PinnedResolver(await self._guard.addresses(url)))
                async with (
                    aiohttp.ClientSession(connector=connector, trust_env=False) as session,
                    session.post(url, data=body, headers=signed, allow_redirects=False) as response,
                ):
                    return Answer(str(response.status), _retry_after(response.headers.get("Retry-After", "")))
        except AddressRefusedError:
            return Answer("address refused")
        except TimeoutError:
            return Answer("no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            return Answer(type(exc).__name__)


def _retry_after(text: str) -> float:
    """Seconds; dates and nonsense count as none, as the schedule is there anyway."""
    return min(float(text), _MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() else 0.0
