"""The listener of a production: TLS with a certificate of one's own, HTTP/2 by ALPN, and media in ranges."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kinemesh.video.v1.video_service_pb2 import GetVideoRequest
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.integration.gateway.media import object_store, write_mp4
from tests.integration.gateway.services import KNOWN_ID, Videos, public_server
from tests.support.gateway import Gateway, running_gateway

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Secure:
    """A gateway behind TLS, whom it is trusted by, and the video in its store."""

    gateway: Gateway
    authority: Path
    video: bytes

    @property
    def url(self) -> str:
        return self.gateway.url.replace("http://", "https://")

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def secure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secure]:
    """One for all these tests."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = _make_certificate(directory)
    video = write_mp4(directory / "video.mp4")
    async with object_store(directory) as store:
        settings = {"tls_certificate": certificate, "tls_key": key, "objectstore_address": urlsplit(store).netloc}
        async with running_gateway(directory, public_server(Videos()), **settings) as gateway:
            yield Secure(gateway, certificate, video)


def _make_certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kinemesh.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "chain.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *encoding))
    return paths


async def _handshake(secure: Secure, context: ssl.SSLContext) -> ssl.SSLObject:
    parts = urlsplit(secure.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return session


async def test_http_2_is_offered_first_and_modern_tls_is_used(secure: Secure) -> None:
    session = await _handshake(secure, secure.context())
    assert (session.selected_alpn_protocol(), session.version()) == ("h2", "TLSv1.3")
    older = secure.context()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await _handshake(secure, older)).version() == "TLSv1.2"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_before_1_2_is_refused(secure: Secure) -> None:
    old = secure.context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await _handshake(secure, old)


async def test_plain_text_is_no_request(secure: Secure) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.HTTPError):
            await http.get(f"{secure.gateway.url}/openapi.json")


async def test_rest_and_grpc_are_served(secure: Secure) -> None:
    headers = secure.gateway.headers()
    async with httpx.AsyncClient(verify=secure.context(), trust_env=False) as http:
        answer = await http.get(f"{secure.url}/v1/videos/{KNOWN_ID}", headers=headers)
    credentials = grpc.ssl_channel_credentials(secure.authority.read_bytes())
    async with grpc.aio.secure_channel(urlsplit(secure.url).netloc, credentials) as channel:
        request = GetVideoRequest(request_id=KNOWN_ID)
        video = await VideoServiceStub(channel).GetVideo(request, metadata=tuple(headers.items()))
    assert (answer.status_code, answer.json()["request_id"], video.request_id) == (200, KNOWN_ID, KNOWN_ID)


async def test_media_are_served_in_ranges_to_whoever_has_a_signature(secure: Secure) -> None:
    async with httpx.AsyncClient(verify=secure.context(), trust_env=False) as http:
        url = f"{secure.url}/media/video.mp4?signature=1"
        whole = await http.get(url)
        part = await http.get(url, headers={"range": "bytes=10-19"})
        last = await http.get(url, headers={"range": "bytes=-5"})
        beyond = await http.get(url, headers={"range": "bytes=99999999-"})
        unsigned = await http.get(f"{secure.url}/media/video.mp4")
    size = len(secure.video)
    assert (whole.status_code, whole.content) == (200, secure.video)
    assert (part.status_code, part.content) == (206, secure.video[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    assert last.content == secure.video[-5:]
    assert (beyond.status_code, unsigned.status_code) == (416, 403)
