"""The keys and passwords of one local mesh: made once, kept in files only their owner can read."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jwt.algorithms import ECAlgorithm

CERTIFICATE_LIFETIME = timedelta(days=3650)
KEY_ID = "local-1"
_DIGEST = hashes.SHA256()


@dataclass(frozen=True)
class Keys:
    """Where the keys are, and the passwords. `password(name)` is made up when first asked for."""

    directory: Path

    @property
    def signing_key(self) -> Path:
        """ES256 private key (PEM) that tokens are signed with."""
        return self.directory / "jwt-signing-key.pem"

    @property
    def jwks(self) -> Path:
        """Public half of the signing key, as the gateway wants it."""
        return self.directory / "jwks.json"

    @property
    def c2pa_root(self) -> Path:
        """Certificate (PEM) of the authority that a C2PA reader has to trust."""
        return self.directory / "c2pa-root.pem"

    @property
    def c2pa_chain(self) -> Path:
        """Signing certificate and its root (PEM)."""
        return self.directory / "c2pa-chain.pem"

    @property
    def c2pa_key(self) -> Path:
        """Private key (PEM, PKCS#8) of the signing certificate."""
        return self.directory / "c2pa-key.pem"

    def password(self, name: str) -> str:
        """The password of that name: 32 URL-safe characters."""
        path = self.directory / f"{name}.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def secret(self, name: str) -> str:
        """A secret of 32 random bytes of that name, in base64."""
        path = self.directory / f"{name}.secret"
        if not path.exists():
            write_private(path, base64.b64encode(secrets.token_bytes(32)).decode())
        return path.read_text()


def prepare_keys(directory: Path) -> Keys:
    """Open the keys of a directory; missing ones are made."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = Keys(directory)
    if not keys.jwks.exists():
        _make_signing_key(keys)
    if not keys.c2pa_root.exists():
        _make_certificates(keys)
    return keys


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    building = path.with_name(f"{path.name}.new")
    building.unlink(missing_ok=True)
    building.touch(mode=0o600)
    building.write_text(text)
    building.rename(path)


def _make_signing_key(keys: Keys) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(keys.signing_key, _private_pem(key))
    public = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KEY_ID, "alg": "ES256", "use": "sig"}
    write_private(keys.jwks, json.dumps({"keys": [public]}))


def _make_certificates(keys: Keys) -> None:
    """A root and one signing certificate below it, with the extensions that C2PA asks for."""
    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, leaf_name = _name("Kinemesh local root"), _name("Kinemesh local signer")
    root = (
        _certificate(root_name, root_name, root_key.public_key(), root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .sign(root_key, _DIGEST)
    )
    leaf = (
        _certificate(leaf_name, root_name, leaf_key.public_key(), root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(root_key, _DIGEST)
    )
    write_private(keys.c2pa_key, _private_pem(leaf_key))
    write_private(keys.c2pa_chain, _pem(leaf) + _pem(root))
    # Last, because its presence means that all three are there.
    write_private(keys.c2pa_root, _pem(root))


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + CERTIFICATE_LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    names = {NameOID.ORGANIZATION_NAME: "Kinemesh", NameOID.COMMON_NAME: common_name}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names.items()])


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
