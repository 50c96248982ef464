"""Secrets that webhooks are signed with: encrypted at rest, derived for users who gave none."""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

_PREFIX = "whsec_"
_KEY_BYTES = 32


class SecretUnreadableError(Exception):
    """The secret was encrypted under a master secret that is not known any more."""


class WebhookSecrets:
    """Everything that is made from the installation's master secret, and from the one before while that is given."""

    def __init__(self, master_secret: str, previous_master_secret: str | None = None) -> None:
        given = [master_secret, *filter(None, [previous_master_secret])]
        self._masters = [base64.b64decode(master) for master in given]
        derived = [_derive(master, b"kinemesh webhook encryption") for master in self._masters]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])

    def encrypt(self, secret: str) -> bytes:
        """Encrypts a secret for the database."""
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, encrypted: bytes) -> str:
        """Reads a secret from the database.

        Raises:
            SecretUnreadableError: The installation's master secret has changed.
        """
        try:
            return self._fernet.decrypt(encrypted).decode()
        except InvalidToken as exc:
            raise SecretUnreadableError from exc

    def derived(self, user_id: str) -> list[str]:
        """The secrets the installation has for a user who never rotated his: the present one first."""
        purpose = b"kinemesh webhook signature " + user_id.encode()
        return [as_secret(_derive(master, purpose)) for master in self._masters]


def new_secret() -> str:
    """Makes a secret."""
    return as_secret(secrets.token_bytes(_KEY_BYTES))


def as_secret(key: bytes) -> str:
    """Writes a key as verifiers take it."""
    return _PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The bytes to sign with."""
    return base64.b64decode(secret.removeprefix(_PREFIX))


def require_master_secret(value: SecretStr) -> SecretStr:
    """Raises ValueError unless it is base64 of at least 32 bytes."""
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except binascii.Error as exc:
        raise ValueError("must be base64") from exc
    if len(key) < _KEY_BYTES:
        raise ValueError("must be base64 of at least 32 bytes")
    return value


def _derive(master: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(master)
