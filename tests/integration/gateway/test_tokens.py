"""Tokens that identify nobody: each is refused with the same JSON, and its text comes back nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from kinemesh.video.v1.video_service_pb2 import GetVideoRequest
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import KNOWN_ID
from tests.support.gateway import AUDIENCE, ISSUER

pytestmark = pytest.mark.integration

STRANGER = ec.generate_private_key(ec.SECP256R1())
NOW = int(time.time())
CLAIMS = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 600}
TEN_YEARS_S = 10 * 365 * 86_400


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unsigned(algorithm: str) -> str:
    header = {"alg": algorithm, "kid": "test"}
    return f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(CLAIMS).encode())}."


def _by_secret(secret: bytes) -> str:
    """HS256 with bytes that everybody knows, as a verifier that confuses the kinds of keys would accept it."""
    content = (
        f"{_encoded(json.dumps({'alg': 'HS256', 'kid': 'test'}).encode())}.{_encoded(json.dumps(CLAIMS).encode())}"
    )
    return f"{content}.{_encoded(hmac.new(secret, content.encode(), hashlib.sha256).digest())}"


def _by_stranger(**header: Any) -> str:
    return jwt.encode(CLAIMS, STRANGER, algorithm="ES256", headers={"kid": "test", **header})


def _altered(token: str) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{_encoded(json.dumps({**CLAIMS, 'sub': 'bob'}).encode())}.{signature}"


FORGED: dict[str, Callable[[Gateway], str]] = {
    "no algorithm": lambda _: _unsigned("none"),
    "no algorithm, spelt otherwise": lambda _: _unsigned("nOnE"),
    "HS256 with the public key in PEM": lambda gateway: _by_secret(
        gateway.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ),
    "HS256 with the public key in JWK": lambda gateway: _by_secret(
        ECAlgorithm.to_jwk(gateway.key.public_key()).encode()
    ),
    "HS256 with nothing": lambda _: _by_secret(b""),
    "signature stripped": lambda gateway: gateway.token().rpartition(".")[0] + ".",
    "signature and dot stripped": lambda gateway: gateway.token().rpartition(".")[0],
    "signature of other claims": lambda gateway: _altered(gateway.token()),
    "another key": lambda _: _by_stranger(),
    "its own key along": lambda _: _by_stranger(jwk=json.loads(ECAlgorithm.to_jwk(STRANGER.public_key()))),
    "its own key by address": lambda _: _by_stranger(jku="https://evil.test/jwks.json"),
    "a kid that is a path": lambda _: _by_stranger(kid="../../../../dev/null"),
    "a kid that is SQL": lambda _: _by_stranger(kid="x' UNION SELECT 'key"),
    "not a token": lambda _: "garbage",
}
WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 120},
    "not yet valid": {"nbf": NOW + 600},
    "without expiry": {"exp": None},
    "lives ten years": {"exp": NOW + TEN_YEARS_S},
    "lives ten years, undated": {"exp": NOW + TEN_YEARS_S, "iat": None},
    "wrong issuer": {"iss": "https://evil.test"},
    "without issuer": {"iss": None},
    "wrong audience": {"aud": "other"},
    "without audience": {"aud": None},
    "without subject": {"sub": None},
    "empty subject": {"sub": ""},
    "a subject longer than any user's": {"sub": "a" * 65},
}
PRESENTED: dict[str, Callable[[Gateway], list[tuple[str, str]]]] = {
    "not at all": lambda _: [],
    "lower-case bearer": lambda gateway: [("authorization", f"bearer {gateway.token()}")],
    "basic": lambda gateway: [("authorization", f"Basic {gateway.token()}")],
    "without a scheme": lambda gateway: [("authorization", gateway.token())],
    "twice": lambda gateway: [("authorization", f"Bearer {gateway.token(user)}") for user in ("alice", "eve")],
    "twice, in one header": lambda gateway: [
        ("authorization", f"Bearer {gateway.token('alice')}, Bearer {gateway.token('eve')}")
    ],
    "by another name": lambda gateway: [("x-authorization", f"Bearer {gateway.token()}")],
}


def _assert_refused(response: httpx.Response) -> None:
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == "Bearer"
    body = response.json()
    assert set(body) == {"error", "reason", "code", "request_id"}
    assert body["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_token_is_refused(
    gateway: Gateway, http: httpx.AsyncClient, forge: Callable[[Gateway], str]
) -> None:
    _assert_refused(await http.get("/v1/account", headers={"authorization": f"Bearer {forge(gateway)}"}))


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS.keys())
async def test_wrong_claims_are_refused(gateway: Gateway, http: httpx.AsyncClient, claims: dict[str, Any]) -> None:
    _assert_refused(await http.get("/v1/account", headers={"authorization": f"Bearer {gateway.token(**claims)}"}))


@pytest.mark.parametrize("present", PRESENTED.values(), ids=PRESENTED.keys())
async def test_a_token_is_read_from_one_place_only(
    gateway: Gateway, http: httpx.AsyncClient, present: Callable[[Gateway], list[tuple[str, str]]]
) -> None:
    _assert_refused(await http.get("/v1/account", headers=present(gateway)))


async def test_a_token_in_the_query_serves_streams_only(gateway: Gateway, http: httpx.AsyncClient) -> None:
    query = {"access_token": gateway.token()}
    for path in ("/v1/account", f"/v1/videos/{KNOWN_ID}", "/openai/v1/videos"):
        refused = await http.get(path, params=query)
        assert refused.status_code == 401
    async with http.stream("GET", f"/v1/videos/{KNOWN_ID}/stream", params=query) as stream:
        assert stream.status_code == 200
    assert "access_token" not in str(gateway.videos.metadata)


async def test_a_refusal_does_not_repeat_the_token(gateway: Gateway, http: httpx.AsyncClient) -> None:
    token = f"x{gateway.token()}"
    refused = await http.get(f"/v1/videos/{KNOWN_ID}/stream", params={"access_token": token})
    _assert_refused(refused)
    for part in token.split("."):
        assert part not in f"{refused.headers} {refused.text}"


async def test_openai_clients_are_refused_in_their_own_shape(gateway: Gateway, http: httpx.AsyncClient) -> None:
    for claims in ({"exp": NOW - 120}, {"aud": "other"}, {"sub": ""}):
        headers = {"authorization": f"Bearer {gateway.token(**claims)}"}
        refused = await http.get("/openai/v1/videos", headers=headers)
        assert refused.status_code == 401
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")


async def test_grpc_clients_are_refused_with_a_status(gateway: Gateway) -> None:
    async with grpc.aio.insecure_channel(gateway.url.removeprefix("http://")) as channel:
        for claims in ({"exp": NOW - 120}, {"aud": "other"}, {"sub": ""}):
            metadata = (("authorization", f"Bearer {gateway.token(**claims)}"),)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await VideoServiceStub(channel).GetVideo(GetVideoRequest(request_id=KNOWN_ID), metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert not (refused.value.details() or "").startswith("{")
