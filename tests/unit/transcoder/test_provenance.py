"""Signing and verifying."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.local.keys import Keys, prepare_keys
from services.common.errors import NotFound
from services.common.sandbox import MediaFailed
from services.transcoder.domain import Native
from services.transcoder.media.conform import conform
from services.transcoder.media.request import ConformRequest
from services.transcoder.provenance import Manifest, Provenance, SigningKeysError, load_signing_keys, native_of

NATIVE = Native(112, 64, 12.0)


@pytest.fixture
def provenance(keys: Keys) -> Provenance:
    return Provenance(load_signing_keys(keys.c2pa_chain, keys.c2pa_key), keys.c2pa_root)


@pytest.fixture
def plain(mezzanine: Path, tmp_path: Path) -> Path:
    path = tmp_path / "plain.mp4"
    size = {"width": 160, "height": 90, "fps": 24, "frames": 12, "threads": 2}
    request = ConformRequest(
        video=str(mezzanine), audio=None, output=str(path), preset="ultrafast", crf=20, audio_bit_rate=64_000, **size
    )
    conform(request)
    return path


def test_a_signed_video_says_what_made_it(provenance: Provenance, plain: Path, tmp_path: Path) -> None:
    signed = tmp_path / "signed.mp4"
    provenance.sign(plain, signed, "video/mp4", Manifest("REFERENCE", NATIVE))
    found = provenance.verify(signed, "video/mp4")
    assert found.state == "Trusted"
    manifest = json.loads(found.manifest_json)
    active = manifest["manifests"][manifest["active_manifest"]]
    actions = next(item["data"]["actions"] for item in active["assertions"] if item["label"] == "c2pa.actions.v2")
    assert [action["action"] for action in actions] == ["c2pa.created"]
    assert actions[0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert actions[0]["softwareAgent"]["name"] == "REFERENCE"
    assert active["claim_generator_info"][0]["name"] == "Kinemesh"
    assert native_of(found.manifest_json) == NATIVE
    content = signed.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_without_its_root_a_signature_is_only_valid(keys: Keys, plain: Path, tmp_path: Path) -> None:
    provenance = Provenance(load_signing_keys(keys.c2pa_chain, keys.c2pa_key), None)
    provenance.sign(plain, tmp_path / "signed.mp4", "video/mp4", Manifest("REFERENCE", NATIVE))
    assert provenance.verify(tmp_path / "signed.mp4", "video/mp4").state == "Valid"


def test_a_changed_picture_is_noticed(provenance: Provenance, plain: Path, tmp_path: Path) -> None:
    signed = tmp_path / "signed.mp4"
    provenance.sign(plain, signed, "video/mp4", Manifest("REFERENCE", NATIVE))
    content = bytearray(signed.read_bytes())
    content[-100] ^= 1
    signed.write_bytes(content)
    assert provenance.verify(signed, "video/mp4").state == "Invalid"


def test_an_unsigned_video_has_no_manifest(provenance: Provenance, plain: Path) -> None:
    with pytest.raises(NotFound):
        provenance.verify(plain, "video/mp4")


def test_garbage_cannot_be_read(provenance: Provenance, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises((MediaFailed, NotFound)):
        provenance.verify(tmp_path / "x.jpg", "image/jpeg")


def test_without_keys_the_text_says_what_to_set(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(SigningKeysError, match="KINEMESH_C2PA_CERTIFICATE_CHAIN_FILE"):
        load_signing_keys(None, keys.c2pa_key)
    with pytest.raises(SigningKeysError, match="KINEMESH_C2PA_PRIVATE_KEY_FILE"):
        load_signing_keys(keys.c2pa_chain, tmp_path / "missing.pem")
    with pytest.raises(SigningKeysError, match="not PEM"):
        load_signing_keys(keys.c2pa_key, keys.c2pa_key)


def test_a_key_of_another_certificate_is_refused(keys: Keys, tmp_path: Path) -> None:
    other = prepare_keys(tmp_path / "other")
    with pytest.raises(SigningKeysError, match="does not belong"):
        load_signing_keys(keys.c2pa_chain, other.c2pa_key)
