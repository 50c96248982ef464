"""What users do with their webhooks: look, ask for one again, rotate the secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, get_args
from uuid import UUID

from services.common.errors import InvalidArgument, NotFound
from services.common.postgres import Connection, Pool, transact
from services.orchestrator.store import jobs, webhook_log, webhook_secrets, webhooks
from services.orchestrator.store.webhooks import State
from services.orchestrator.usecases.reading import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    page_token,
    parse_id,
    read_page_token,
    video_not_found,
)
from services.orchestrator.webhooks.secrets import new_secret

if TYPE_CHECKING:
    from services.orchestrator.store.webhook_log import Attempt, Webhook
    from services.orchestrator.webhooks.keyring import Keyring

_ATTEMPTS_SHOWN = 100
DEFAULT_OVERLAP_S = 24 * 3600
_MAX_OVERLAP_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Rotation:
    """A new secret."""

    secret: str
    previous_expires_at: datetime | None


class Webhooks:
    """A user's own webhooks."""

    def __init__(self, pool: Pool, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring

    async def page(self, user_id: str, limit: int, state: str, token: str) -> tuple[list[Webhook], str]:
        """Lists webhooks, newest first, and how to go on.

        Raises:
            InvalidArgument: A field is wrong.
        """
        if limit < 0:
            raise InvalidArgument.of_field("limit", "must not be negative")
        size = min(limit or DEFAULT_LIMIT, MAX_LIMIT)
        wanted = _read_state(state)
        found = await webhook_log.of_user(self._pool, user_id, wanted, size + 1, read_page_token(token))
        return found[:size], page_token(found[size - 1]) if len(found) > size else ""

    async def get(self, user_id: str, request_id: str) -> tuple[Webhook, list[Attempt]]:
        """Reads the webhook of a video and its attempts.

        Raises:
            NotFound: VIDEO_NOT_FOUND, RESOURCE_NOT_FOUND.
        """
        webhook = await self._find(self._pool, user_id, _parse(request_id))
        return webhook, await webhook_log.attempts(self._pool, webhook.delivery_id, _ATTEMPTS_SHOWN)

    async def replay(self, user_id: str, request_id: str) -> Webhook:
        """Begins the schedule of a webhook again; raises as `get`."""
        key = _parse(request_id)

        async def work(connection: Connection) -> Webhook:
            webhook = await self._find(connection, user_id, key)
            await webhooks.forget_gone(connection, user_id, webhook.url)
            await webhook_log.replay(connection, webhook.delivery_id)
            return await self._find(connection, user_id, key)

        return await transact(self._pool, work)

    async def secret(self, user_id: str) -> str:
        """Returns the secret that signs the user's webhooks now."""
        return (await self._keyring.of_user(user_id))[0]

    async def rotate(self, user_id: str, key: UUID | None, overlap_s: int) -> Rotation:
        """Makes a new secret, once for each key; the one before signs beside it for a while.

        Raises:
            InvalidArgument: The overlap is too long or negative.
        """
        if not 0 <= overlap_s <= _MAX_OVERLAP_S:
            raise InvalidArgument.of_field("overlap_seconds", f"must be 0 to {_MAX_OVERLAP_S}")
        fresh = self._keyring.encrypt(new_secret())

        async def work(connection: Connection) -> webhook_secrets.Rotated:
            await webhook_secrets.serialize(connection, user_id)
            made = await webhook_secrets.made_by(connection, user_id, key) if key else None
            if made is not None:
                return made
            if not await webhook_secrets.valid(connection, user_id):
                await webhook_secrets.adopt(connection, user_id, self._keyring.derived(user_id))
            return await webhook_secrets.replace(connection, user_id, fresh, key, overlap_s)

        rotated = await transact(self._pool, work)
        return Rotation(self._keyring.decrypt(rotated.secret), rotated.previous_expires_at)

    async def _find(self, source: Pool | Connection, user_id: str, request_id: UUID) -> Webhook:
        webhook = await webhook_log.find(source, user_id, request_id)
        if webhook is not None:
            return webhook
        job = await jobs.get(source, request_id)
        if job is None or job.user_id != user_id or job.deleted_at is not None:
            raise video_not_found()
        raise NotFound("RESOURCE_NOT_FOUND", "the video has no webhook")


def _parse(request_id: str) -> UUID:
    key = parse_id(request_id)
    if key is None:
        raise video_not_found()
    return key


def _read_state(name: str) -> State | None:
    found: dict[str, State] = {state: state for state in get_args(State)}
    if name and name.upper() not in found:
        raise InvalidArgument.of_field("state", f"must be one of {', '.join(found)}")
    return found.get(name.upper())
