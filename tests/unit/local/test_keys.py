"""The keys of a local mesh."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from deploy.local.keys import KEY_ID, prepare_keys


def test_a_token_of_the_signing_key_passes_with_the_published_key(tmp_path: Path) -> None:
    keys = prepare_keys(tmp_path / "keys")
    claims = {"sub": "ada", "exp": int(time.time()) + 60}
    token = jwt.encode(claims, keys.signing_key.read_text(), algorithm="ES256", headers={"kid": KEY_ID})
    (public,) = jwt.PyJWKSet.from_json(keys.jwks.read_text()).keys
    assert public.key_id == KEY_ID
    assert jwt.decode(token, public.key, algorithms=["ES256"])["sub"] == "ada"
    assert "d" not in json.loads(keys.jwks.read_text())["keys"][0]


def test_the_signing_certificate_is_one_that_c2pa_accepts(tmp_path: Path) -> None:
    keys = prepare_keys(tmp_path / "keys")
    leaf, root = x509.load_pem_x509_certificates(keys.c2pa_chain.read_bytes())
    assert root == x509.load_pem_x509_certificate(keys.c2pa_root.read_bytes())
    leaf.verify_directly_issued_by(root)
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]


def test_everything_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = prepare_keys(tmp_path / "keys")
    before = {"nats": first.password("nats"), "hook": first.secret("hook"), "root": first.c2pa_root.read_text()}
    again = prepare_keys(tmp_path / "keys")
    after = {"nats": again.password("nats"), "hook": again.secret("hook"), "root": again.c2pa_root.read_text()}
    assert after == before
    assert len(base64.b64decode(before["hook"])) == 32
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "keys").iterdir())
