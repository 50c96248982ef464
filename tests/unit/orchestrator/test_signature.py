"""Signatures of webhooks."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr

from services.orchestrator.webhooks.secrets import SecretUnreadableError, WebhookSecrets, key_of, require_master_secret
from services.orchestrator.webhooks.signature import headers

MASTER = base64.b64encode(b"m" * 32).decode()
OTHER_MASTER = base64.b64encode(b"n" * 32).decode()


def test_the_standard_s_own_example() -> None:
    # From the specification of Standard Webhooks.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed["X-Webhook-Signature"] == (
        "sha256=" + base64.b64decode(signed["webhook-signature"].removeprefix("v1,")).hex()
    )


def test_users_without_a_secret_have_each_their_own() -> None:
    secrets = WebhookSecrets(MASTER)
    assert len({secrets.derived(user)[0] for user in ("a", "b", "a")}) == 2


def test_a_stored_secret_signs_with_what_the_user_knows() -> None:
    secrets = WebhookSecrets(MASTER)
    given = f"whsec_{base64.b64encode(b'k' * 24).decode()}"
    stored = secrets.encrypt(given)
    assert given.encode() not in stored
    assert key_of(WebhookSecrets(MASTER).decrypt(stored)) == b"k" * 24


def test_two_secrets_give_two_signatures_and_the_source_s_header_is_the_present_one_s() -> None:
    new, old = headers([b"new"], "id", 1, b"{}"), headers([b"old"], "id", 1, b"{}")
    both = headers([b"new", b"old"], "id", 1, b"{}")
    assert both["webhook-signature"].split(" ") == [new["webhook-signature"], old["webhook-signature"]]
    assert both["X-Webhook-Signature"] == new["X-Webhook-Signature"]


def test_the_master_secret_can_be_replaced_without_losing_a_secret() -> None:
    before, after = WebhookSecrets(MASTER), WebhookSecrets(OTHER_MASTER, MASTER)
    stored = before.encrypt("whsec_x")
    assert after.decrypt(stored) == "whsec_x"
    assert after.derived("a") == [*WebhookSecrets(OTHER_MASTER).derived("a"), *before.derived("a")]
    with pytest.raises(SecretUnreadableError):
        WebhookSecrets(OTHER_MASTER).decrypt(stored)


@pytest.mark.parametrize("secret", ["short", base64.b64encode(b"x" * 31).decode(), "%%%"])
def test_a_weak_master_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        require_master_secret(SecretStr(secret))
