"""Which secrets sign a webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.orchestrator.store import webhook_secrets
from services.orchestrator.webhooks.secrets import key_of

if TYPE_CHECKING:
    from services.common.postgres import Pool
    from services.orchestrator.domain.job import Job
    from services.orchestrator.webhooks.secrets import WebhookSecrets


class Keyring:
    """The secrets of users and of single videos."""

    def __init__(self, pool: Pool, secrets: WebhookSecrets) -> None:
        self._pool = pool
        self._secrets = secrets

    async def keys_for(self, job: Job) -> list[bytes]:
        """What signs the webhook of a job: the secret it was created with, else those of its user, the present first.

        Raises:
            SecretUnreadableError: The installation's master secret has changed.
        """
        if job.webhook_secret is not None:
            return [key_of(self._secrets.decrypt(job.webhook_secret))]
        return [key_of(secret) for secret in await self.of_user(job.user_id)]

    async def of_user(self, user_id: str) -> list[str]:
        """The secrets of a user: the present one, then those that rotation has not let expire yet; raises as above."""
        stored = await webhook_secrets.valid(self._pool, user_id)
        return [self._secrets.decrypt(secret) for secret in stored] or self._secrets.derived(user_id)

    def derived(self, user_id: str) -> bytes:
        """The secret the installation has for a user who never rotated his, encrypted for the database."""
        return self._secrets.encrypt(self._secrets.derived(user_id)[0])

    def encrypt(self, secret: str) -> bytes:
        """Encrypts a secret for the database."""
        return self._secrets.encrypt(secret)

    def decrypt(self, encrypted: bytes) -> str:
        """Reads a secret from the database; raises SecretUnreadableError."""
        return self._secrets.decrypt(encrypted)
