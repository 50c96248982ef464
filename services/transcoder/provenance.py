"""C2PA: signs what was generated as generated, and reads such signatures back.

The manifest follows the C2PA specification 2.x: the action `c2pa.created` with the digital source type
`trainedAlgorithmicMedia`, by the model as software agent; and assertions of our own with the native size and, for a
clip with sound, the record of its sound. It never holds a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.common.errors import NotFound
from services.common.sandbox import MediaFailed
from services.transcoder.domain import Native

GENERATION_LABEL = "org.kinemesh.generation"
SOUND_LABEL = "org.kinemesh.sound"
_TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True)
class Manifest:
    """What is signed."""

    model: str
    """Name of the generating model."""
    native: Native
    sound: Mapping[str, Any] | None = None
    """The record of the clip's sound, as the worker left it."""


class SigningKeysError(RuntimeError):
    """The service cannot sign; the text says what to set."""


@dataclass(frozen=True)
class SigningKeys:
    """What signs manifests."""

    algorithm: c2pa.C2paSigningAlg
    certificate_chain: bytes
    private_key: bytes


@dataclass(frozen=True)
class Verification:
    """What the C2PA reader says of a file."""

    state: str
    """"Trusted", "Valid" or "Invalid"."""
    manifest_json: str


def load_signing_keys(chain_file: Path | None, key_file: Path | None) -> SigningKeys:
    """Reads the keys and checks that they belong together.

    Raises:
        SigningKeysError: They are missing, unreadable, or not a pair.
    """
    chain = _read(chain_file, "KINEMESH_C2PA_CERTIFICATE_CHAIN_FILE")
    key = _read(key_file, "KINEMESH_C2PA_PRIVATE_KEY_FILE")
    try:
        certificate, private = x509.load_pem_x509_certificates(chain)[0], load_pem_private_key(key, None)
    except (ValueError, TypeError) as exc:
        raise SigningKeysError("the C2PA certificate chain or private key is not PEM, or is encrypted") from exc
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise SigningKeysError("the C2PA private key does not belong to the first certificate of the chain")
    return SigningKeys(_algorithm_of(private), chain, key)


def _read(path: Path | None, variable: str) -> bytes:
    if path is None:
        raise SigningKeysError(f"the transcoder signs what it delivers and has no key: set {variable}")
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SigningKeysError(f"{variable} names a file that cannot be read: {exc.strerror}") from exc


def _algorithm_of(key: object) -> c2pa.C2paSigningAlg:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return c2pa.C2paSigningAlg.ED25519
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curves = {"secp256r1": c2pa.C2paSigningAlg.ES256, "secp384r1": c2pa.C2paSigningAlg.ES384}
        if key.curve.name in curves:
            return curves[key.curve.name]
    raise SigningKeysError("the C2PA private key must be Ed25519 or on the curve P-256 or P-384")


class Provenance:
    """Signs and verifies MP4 and JPEG files. Its methods block for some milliseconds."""

    def __init__(self, keys: SigningKeys, trust_anchors_file: Path | None) -> None:
        self._keys = keys
        self._reading = dict[str, Any](_OFFLINE)
        if trust_anchors_file is not None:
            anchors = _read(trust_anchors_file, "KINEMESH_C2PA_TRUST_ANCHORS_FILE").decode()
            self._reading["trust"] = {"trust_anchors": anchors, "trust_config": _EMAIL_PROTECTION}

    def sign(self, source: Path, target: Path, mime_type: str, manifest: Manifest) -> None:
        """Writes `target`: `source` with the manifest embedded."""
        keys = self._keys
        info = c2pa.C2paSignerInfo(keys.algorithm, keys.certificate_chain, keys.private_key, None)  # type: ignore[no-untyped-call]
        with (
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(_definition(mime_type, manifest)) as builder,
            source.open("rb") as read,
            target.open("w+b") as written,
        ):
            builder.sign(signer, mime_type, read, written)

    def verify(self, path: Path, mime_type: str) -> Verification:
        """Reads the manifest of a file.

        Raises:
            NotFound: It has none.
            MediaFailed: It cannot be read.
        """
        try:
            with (
                path.open("rb") as file,
                c2pa.Context.from_dict(self._reading) as context,
                c2pa.Reader(mime_type, file, context=context) as reader,
            ):
                return Verification(reader.get_validation_state() or "Invalid", reader.json())
        except c2pa.C2paError.ManifestNotFound as exc:  # type: ignore[attr-defined]
            raise NotFound("RESOURCE_NOT_FOUND", "the file has no C2PA manifest") from exc
        except c2pa.C2paError as exc:
            raise MediaFailed("the file's C2PA manifest cannot be read", permanent=True) from exc


def native_of(manifest_json: str) -> Native:
    """Reads from a manifest what the model drew."""
    store = json.loads(manifest_json)
    assertions = store["manifests"][store["active_manifest"]]["assertions"]
    data = next(item["data"] for item in assertions if item["label"] == GENERATION_LABEL)
    return Native(width=data["width"], height=data["height"], fps=data["fps"])


def _definition(mime_type: str, manifest: Manifest) -> dict[str, Any]:
    software = {"name": "Kinemesh", "version": version("kinemesh")}
    created = {"action": "c2pa.created", "digitalSourceType": _TRAINED, "softwareAgent": {"name": manifest.model}}
    sound = [{"label": SOUND_LABEL, "data": manifest.sound}] if manifest.sound else []
    return {
        "claim_generator_info": [software],
        "format": mime_type,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": GENERATION_LABEL, "data": {"model": manifest.model, **asdict(manifest.native)}},
            *sound,
        ],
    }
