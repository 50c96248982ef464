"""Accepting a video: once per key, paid, and nothing held for ever wherever it is interrupted.

The idempotency key's row is written first, with the id the job will have. Every later step is repeatable under that id,
so a retry goes on where a dead call stopped; if none comes, the sweeper gives the credits back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from uuid import UUID, uuid4

from services.common.errors import (
    Aborted,
    AlreadyExists,
    ContentBlocked,
    PaymentRequired,
    ResourceExhausted,
    ServiceError,
)
from services.common.faults import race_point
from services.common.postgres import Connection, transact
from services.common.storage import StoredObject
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.spec import MAX_SEED, VideoSpec
from services.orchestrator.store import idempotency, jobs
from services.orchestrator.store.idempotency import Entry, Hold
from services.orchestrator.usecases.engine import JobEngine
from services.orchestrator.usecases.estimate import Estimate, Estimator

_WAIT_S = 8.0
_POLL_S = 0.05
_MAX_POLL_S = 0.5
_WORK_S = 20.0
_HOLD_S = 30.0
"""A call that is accepting gives up well before others may take over its key."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Quote:
    """A price."""

    cost: Decimal
    tier_multiplier: Decimal
    video_seconds: Decimal


class Safety(Protocol):
    """Judges prompts."""

    async def check(self, request_id: UUID, prompt: str, negative_prompt: str) -> float:
        """Returns the prompt's score; raises ContentBlocked."""

    async def check_picture(self, request_id: UUID, picture: StoredObject) -> float:
        """Returns the picture's score; raises ContentBlocked."""


class Pictures(Protocol):
    """Where first frames are kept."""

    async def keep(self, request_id: UUID, png: bytes) -> StoredObject:
        """Stores a job's picture."""

    async def drop(self, stored: StoredObject) -> None:
        """Deletes a picture that no job came of."""


class Billing(Protocol):
    """Prices and holds."""

    async def quote(self, spec: VideoSpec) -> Quote:
        """Prices a request."""

    async def reserve(self, request_id: UUID, user_id: str, cost: Decimal) -> None:
        """Holds the price, once per request; raises PaymentRequired."""

    async def release(self, request_id: UUID) -> None:
        """Gives a hold back; fine if there is none."""


@dataclass(frozen=True)
class Limits:
    """How much a user may have going on."""

    max_unfinished: int
    retry_after_s: float


@dataclass(frozen=True)
class Accepted:
    """The answer to a request."""

    response: dict[str, Any]
    """A CreateVideoResponse in JSON with proto field names."""
    replayed: bool
    """Whether it repeats an earlier answer."""


@dataclass(frozen=True, kw_only=True)
class AcceptPorts:
    """What accepting needs of others."""

    safety: Safety
    billing: Billing
    pictures: Pictures
    estimate: Estimator
    encrypt: Callable[[str], bytes]
    """Encrypts a webhook secret for the database."""
    describe: Callable[[Job, Estimate], dict[str, Any]]
    """Makes the answer for an accepted job."""
    work_limit_s: Callable[[VideoSpec], float]
    """Time from its first start after which a job of this kind is given up."""
    wait_limit_s: float
    """Time after which a job that was never started is given up."""


class AcceptVideo:
    """Accepts requests."""

    def __init__(self, engine: JobEngine, ports: AcceptPorts, limits: Limits) -> None:
        self._engine = engine
        self._ports = ports
        self._limits = limits

    async def replay(self, user_id: str, key: UUID | None, fingerprint: bytes) -> Accepted | None:
        """The answer that the same request has got; None when there is none yet.

        Asked before a request is checked: what was accepted stays so, whatever is deployed or resolves by now.
        """
        entry = None if key is None else await idempotency.peek(self._engine.pool, user_id, key)
        if entry is None or entry.response is None or entry.fingerprint != fingerprint:
            return None
        return Accepted(entry.response, replayed=True)

    async def __call__(self, user_id: str, key: UUID | None, fingerprint: bytes, spec: VideoSpec) -> Accepted:
        """Makes a job of a request, or repeats the answer to the same request.

        Args:
            user_id: The caller.
            key: The idempotency key; each call without one is a request of its own.
            fingerprint: Of the request as it was sent.
            spec: The request.

        Raises:
            AlreadyExists: IDEMPOTENCY_KEY_REUSED.
            Aborted: IDEMPOTENCY_KEY_IN_USE.
            ContentBlocked: CONTENT_BLOCKED.
            PaymentRequired: INSUFFICIENT_CREDITS.
            ResourceExhausted: RATE_LIMITED.
        """
        hold = Hold(user_id, key or uuid4(), uuid4())
        entry = await self._begin(hold, fingerprint)
        if entry.response is not None:
            return Accepted(entry.response, replayed=True)
        try:
            async with asyncio.timeout(_WORK_S):
                return Accepted(await self._accept(hold, entry, spec), replayed=False)
        except (ContentBlocked, PaymentRequired):
            await self._withdraw(hold, entry)
            raise
        except BaseException:
            # Also when the caller has gone: what is held for him must be free at once for his retry.
            await asyncio.shield(idempotency.release(self._engine.pool, hold))
            raise

    async def _withdraw(self, hold: Hold, entry: Entry) -> None:
        """Nothing came of it, so the key is free: the same request may succeed after a top-up."""
        if entry.quote is not None:
            try:
                # An earlier attempt that was interrupted may have held the price.
                await self._ports.billing.release(entry.request_id)
            except ServiceError as exc:
                logger.warning("hold not released yet", extra={"job_id": str(entry.request_id), "reason": exc.reason})
                # The sweeper will, as the key's row tells it to.
                await idempotency.release(self._engine.pool, hold)
                return
        await idempotency.forget(self._engine.pool, hold)

    async def _begin(self, hold: Hold, fingerprint: bytes) -> Entry:
        """Gets hold of the key, waiting a while for another call that has it."""
        give_up_at, pause_s = time.monotonic() + _WAIT_S, _POLL_S
        while True:
            # Waiting takes no locks: a crowd of waiters must not keep the call that works from the database.
            entry = await idempotency.peek(self._engine.pool, hold.user_id, hold.key)
            if entry is None or entry.free:
                entry = await transact(self._engine.pool, partial(self._try_begin, hold, fingerprint))
            if entry is not None and _is_usable(entry, hold, fingerprint):
                return entry
            if time.monotonic() > give_up_at:
                message = "a request with this key is still being accepted"
                raise Aborted("IDEMPOTENCY_KEY_IN_USE", message, retry_after_s=1)
            await asyncio.sleep(random.uniform(0.5, 1) * pause_s)
            pause_s = min(2 * pause_s, _MAX_POLL_S)

    async def _try_begin(self, hold: Hold, fingerprint: bytes, connection: Connection) -> Entry | None:
        await idempotency.serialize_user(connection, hold.user_id)
        entry = await idempotency.read(connection, hold.user_id, hold.key)
        if entry is None:
            await self._require_room(connection, hold.user_id)
            return await idempotency.insert(connection, hold, fingerprint, uuid4(), _HOLD_S)
        if entry.free and entry.fingerprint == fingerprint:
            await idempotency.take_over(connection, hold, _HOLD_S)
            return replace(entry, holder=hold.holder, held=True)
        return entry

    async def _require_room(self, connection: Connection, user_id: str) -> None:
        unfinished = await idempotency.unfinished(connection, user_id)
        if unfinished >= self._limits.max_unfinished:
            raise ResourceExhausted(
                "RATE_LIMITED",
                f"at most {self._limits.max_unfinished} videos may be unfinished at once",
                retry_after_s=self._limits.retry_after_s,
                unfinished=unfinished,
            )

    async def _accept(self, hold: Hold, entry: Entry, spec: VideoSpec) -> dict[str, Any]:
        score = await self._ports.safety.check(entry.request_id, spec.styled_prompt, spec.styled_negative_prompt)
        first_frame = await self._ports.pictures.keep(entry.request_id, spec.first_frame) if spec.first_frame else None
        if first_frame is not None:
            score = max(score, await self._check_picture(entry.request_id, first_frame))
        quote = await self._fixed_quote(hold, entry, spec)
        await self._ports.billing.reserve(entry.request_id, hold.user_id, quote.cost)
        race_point("orchestrator.accept.reserved")
        estimate = await self._ports.estimate(spec)
        columns = {
            "request_id": entry.request_id,
            "user_id": hold.user_id,
            "pre_gen_safety_score": round(score, 3),
            **self._columns(spec),
            **_picture_columns(first_frame),
            "cost_credits": quote.cost,
            "tier_multiplier": quote.tier_multiplier,
            "video_seconds": quote.video_seconds,
            "planned_step_ms": estimate.timing.step_ms,
            "planned_fixed_s": estimate.timing.fixed_s,
            "work_limit_s": self._ports.work_limit_s(spec),
            "fallbacks": [await self._fallback(fallback) for fallback in spec.fallbacks],
        }
        response, job = await transact(self._engine.pool, partial(self._insert, hold, columns, estimate))
        race_point("orchestrator.accept.committed")
        await self._engine.announce(job)
        return response

    async def _check_picture(self, request_id: UUID, picture: StoredObject) -> float:
        try:
            return await self._ports.safety.check_picture(request_id, picture)
        except ContentBlocked:
            await self._ports.pictures.drop(picture)
            raise

    async def _fallback(self, spec: VideoSpec) -> dict[str, Any]:
        """The columns that a move to this model sets."""
        timing = (await self._ports.estimate(spec)).timing
        return {
            "model": spec.model,
            "num_inference_steps": spec.steps,
            "guidance_scale": str(spec.guidance_scale),
            "planned_step_ms": timing.step_ms,
            "planned_fixed_s": timing.fixed_s,
            "work_limit_s": self._ports.work_limit_s(spec),
        }

    async def _fixed_quote(self, hold: Hold, entry: Entry, spec: VideoSpec) -> Quote:
        """The price is fixed before it is held: a retry after a change of prices must hold the same."""
        if entry.quote is not None:
            return Quote(**{name: Decimal(value) for name, value in entry.quote.items()})
        quote = await self._ports.billing.quote(spec)
        noted = {name: str(value) for name, value in vars(quote).items()}
        if not await idempotency.fix_quote(self._engine.pool, hold, noted):
            raise _lost()
        return quote

    async def _insert(
        self, hold: Hold, columns: Mapping[str, Any], estimate: Estimate, connection: Connection
    ) -> tuple[dict[str, Any], Job]:
        """The moment of acceptance: job, first event, wake-up and kept answer in one transaction."""
        job = await jobs.insert(connection, columns, self._ports.wait_limit_s)
        response = self._ports.describe(job, estimate)
        if not await idempotency.finish(connection, hold, response):
            raise _lost()
        return response, job

    def _columns(self, spec: VideoSpec) -> dict[str, Any]:
        return {
            "tier": spec.tier,
            "priority": spec.priority,
            "text_prompt": spec.prompt,
            "negative_prompt": spec.negative_prompt or None,
            "style_preset": spec.style_preset or None,
            "reference_video_url": spec.reference_video or None,
            "reference_strength": spec.reference_strength,
            "model": spec.model,
            "duration_seconds": spec.duration_seconds,
            "fps": spec.fps,
            "resolution": spec.resolution,
            "aspect_ratio": spec.aspect_ratio,
            "num_inference_steps": spec.steps,
            "total_steps": spec.steps_taken,
            "guidance_scale": spec.guidance_scale,
            "seed": secrets.randbelow(MAX_SEED) if spec.seed is None else spec.seed,
            "enable_audio": spec.enable_audio,
            "audio_config": dict(spec.audio_config),
            "current_phase": "queued",
            "remix_of": spec.remix_of,
            "webhook_url": spec.webhook_url or None,
            "webhook_secret": self._ports.encrypt(spec.webhook_secret) if spec.webhook_secret else None,
        }


def _picture_columns(picture: StoredObject | None) -> dict[str, Any]:
    """The worker finds the picture among the job's objects, and the column says for good that there was one."""
    if picture is None:
        return {}
    artifact = {"uri": picture.ref.uri, "sha256": picture.sha256, "size_bytes": str(picture.size_bytes)}
    return {"first_frame_image_url": picture.ref.uri, "artifacts": {"first_frame": artifact}}


def _is_usable(entry: Entry, hold: Hold, fingerprint: bytes) -> bool:
    """Whether there is an answer, or it is this call that accepts; raises AlreadyExists for another request."""
    if entry.fingerprint != fingerprint:
        raise AlreadyExists("IDEMPOTENCY_KEY_REUSED", "the x-request-id was used with another request")
    return entry.state == "DONE" or entry.holder == hold.holder


def _lost() -> Aborted:
    return Aborted("IDEMPOTENCY_KEY_IN_USE", "another call took over this request", retry_after_s=1)
