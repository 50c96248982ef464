"""Secrets that webhooks are signed with: encrypted at rest, derived for users who gave none."""

from __future__ import annotations

import base64
import binascii

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

_PREFIX = "whsec_"


class SecretUnreadableError(Exception):
    """The secret was encrypted under another master secret."""


class WebhookSecrets:
    """Everything that is made from the installation's master secret."""

    def __init__(self, master_secret: str) -> None:
        self._master = base64.b64decode(master_secret)
        self._fernet = Fernet(base64.urlsafe_b64encode(self._derive(b"kinemesh webhook encryption")))

    def encrypt(self, secret: str) -> bytes:
        """Encrypts a user's secret for the database."""
        return self._fernet.encrypt(secret.encode())

    def signing_key(self, user_id: str, encrypted: bytes | None) -> bytes:
        """The bytes to sign with: of the secret the user gave, else of the one the installation has for him.

        Raises:
            SecretUnreadableError: The installation's master secret has changed.
        """
        if encrypted is None:
            return self._derive(b"kinemesh webhook signature " + user_id.encode())
        try:
            secret = self._fernet.decrypt(encrypted).decode()
        except InvalidToken as exc:
            raise SecretUnreadableError from exc
        return base64.b64decode(secret.removeprefix(_PREFIX))

    def _derive(self, purpose: bytes) -> bytes:
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(self._master)


def require_master_secret(value: SecretStr) -> SecretStr:
    """Raises ValueError unless it is base64 of at least 32 bytes."""
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except binascii.Error as exc:
        raise ValueError("must be base64") from exc
    if len(key) < 32:
        raise ValueError("must be base64 of at least 32 bytes")
    return value
