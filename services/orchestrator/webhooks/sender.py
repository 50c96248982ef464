"""Delivers webhooks: at least once, signed, by schedule, to vetted addresses only."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from prometheus_client import Counter, Gauge

from services.common.faults import race_point
from services.common.postgres import Connection, transact
from services.common.telemetry.metrics import BACKGROUND_ERRORS
from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs, webhooks
from services.orchestrator.store.webhooks import Limits, Outcome
from services.orchestrator.webhooks.secrets import SecretUnreadableError
from services.orchestrator.webhooks.signature import headers

if TYPE_CHECKING:
    from services.common.postgres import Pool
    from services.orchestrator.domain.job import Job
    from services.orchestrator.store.webhooks import Delivery
    from services.orchestrator.webhooks.keyring import Keyring
    from services.orchestrator.webhooks.post import Answer, Poster

ATTEMPTS = Counter("kinemesh_webhook_attempts_total", "Attempts to deliver a webhook, by result.", ["result"])
LAG = Gauge("kinemesh_webhook_lag_seconds", "Age of the webhook that has been due for longest.")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SendPolicy:
    """How deliveries are tried."""

    poll_s: float
    """Seconds between looks for what is due."""
    hold_s: float
    """Seconds after which an attempt whose sender died is due again; longer than any attempt takes."""
    retry_delays_s: tuple[float, ...]
    """Seconds between the attempts; after the last the delivery is given up."""
    limits: Limits


class WebhookSender:
    """Delivers what is due. Several replicas may run one each."""

    def __init__(
        self,
        pool: Pool,
        poster: Poster,
        keyring: Keyring,
        policy: SendPolicy,
        describe_output: Callable[[Job], dict[str, Any]],
    ) -> None:
        self._pool = pool
        self._poster = poster
        self._keyring = keyring
        self._policy = policy
        self._describe_output = describe_output
        self._running: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def run(self) -> NoReturn:
        """Delivers until cancelled; the end of an attempt may make room for another, so it is a reason to look."""
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._ended.clear()
                try:
                    await self._start_due(attempts)
                except Exception:
                    BACKGROUND_ERRORS.labels("webhooks").inc()
                    logger.exception("webhooks not taken")
                # Not wait_for: of Python 3.11 it swallows a cancellation that comes together with the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.poll_s):
                        await self._ended.wait()

    async def _start_due(self, attempts: asyncio.TaskGroup) -> None:
        limits = self._policy.limits
        room = limits.at_once - len(self._running)
        for delivery in await webhooks.take_due(self._pool, self._policy.hold_s, room, limits):
            task = attempts.create_task(self._attempt(delivery))
            self._running.add(task)
            task.add_done_callback(self._note_end)
        LAG.set(await webhooks.seconds_overdue(self._pool))

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended.set()

    async def _attempt(self, delivery: Delivery) -> None:
        """Never raises: an attempt that failed for our own fault is due again when its hold ends."""
        try:
            await self._deliver(delivery)
        except Exception:
            BACKGROUND_ERRORS.labels("webhooks").inc()
            logger.exception("webhook not attempted", extra={"job_id": str(delivery.request_id)})

    async def _deliver(self, delivery: Delivery) -> None:
        job = await jobs.get(self._pool, delivery.request_id)
        if job is None or job.webhook_url is None:
            await self._give_up(delivery, "no address")
        elif await webhooks.is_gone(self._pool, job.user_id, job.webhook_url):
            await self._give_up(delivery, "address is gone")
        else:
            await self._send(delivery, job, job.webhook_url)

    async def _send(self, delivery: Delivery, job: Job, url: str) -> None:
        try:
            keys = await self._keyring.keys_for(job)
        except SecretUnreadableError:
            logger.error("webhook secret unreadable", extra={"job_id": str(job.request_id)})  # noqa: TRY400 - says all
            await self._give_up(delivery, "secret unreadable")
            return
        body = json.dumps(self._body(delivery, job)).encode()
        signed = headers(keys, str(delivery.delivery_id), int(time.time()), body)
        began = time.monotonic()
        answer = await self._poster.post(url, signed, body)
        race_point("orchestrator.webhook.posted")
        ATTEMPTS.labels("delivered" if answer.delivered else "failed").inc()
        fields = {"job_id": str(job.request_id), "result": answer.result, "attempt": delivery.attempts}
        logger.info("webhook attempted", extra=fields)
        outcome = Outcome(answer.result, round((time.monotonic() - began) * 1000))
        await transact(self._pool, lambda connection: self._settle(connection, delivery, job, answer, outcome))

    async def _settle(
        self, connection: Connection, delivery: Delivery, job: Job, answer: Answer, outcome: Outcome
    ) -> None:
        delays = self._policy.retry_delays_s
        if answer.delivered:
            await webhooks.end(connection, delivery, outcome, "DELIVERED")
        elif answer.gone or delivery.tries > len(delays):
            await webhooks.end(connection, delivery, outcome, "GIVEN_UP")
        else:
            delay_s = max(delays[delivery.tries - 1] * random.uniform(1, 1.2), answer.retry_after_s)
            await webhooks.retry(connection, delivery, outcome, delay_s)
        if answer.gone and job.webhook_url:
            await webhooks.note_gone(connection, job.user_id, job.webhook_url)

    async def _give_up(self, delivery: Delivery, result: str) -> None:
        ATTEMPTS.labels("failed").inc()
        await transact(self._pool, lambda connection: webhooks.end(connection, delivery, Outcome(result), "GIVEN_UP"))

    def _body(self, delivery: Delivery, job: Job) -> dict[str, Any]:
        """The source's body; addresses are made afresh for every attempt, so that they have not expired."""
        ended_at = job.completed_at or job.updated_at
        moment = ended_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        outcome: dict[str, Any] = {}
        if job.status is Status.COMPLETED:
            outcome["output"] = self._describe_output(job)
        elif job.status is Status.FAILED:
            outcome["error"] = {"code": job.error_code, "message": job.error_message}
        else:
            outcome["blocked_reason"] = job.blocked_reason
        begin = {"event": delivery.event, "request_id": str(job.request_id), "status": job.status.value}
        return {**begin, **outcome, "timestamp": moment}
