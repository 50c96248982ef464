"""Veo on Vertex AI, and the place where service accounts get their tokens."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.providers.fake import KEY, FakeProvider, Json

PROJECT, LOCATION = "our-project", "us-central1"
MODEL = "veo-3.1-generate-001"
_MODEL_PATH = f"/v1beta1/projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/{MODEL}"


@dataclass
class FakeVeo(FakeProvider):
    """One project's Vertex AI."""

    assertions: list[Json] = field(default_factory=list)
    """What service accounts said of themselves."""
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{_MODEL_PATH}:predictLongRunning", self._predict),
            web.post(f"{_MODEL_PATH}:fetchPredictOperation", self._fetch),
            web.post("/public/token", self._token),
        ]

    def refusal_of_key(self) -> web.Response:
        error = {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"}
        return web.json_response({"error": error}, status=401)

    def write_account(self, path: Path) -> Path:
        """Writes the JSON key of a service account."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "client_email": "worker@our-project.iam.gserviceaccount.com",
            "private_key": pem.decode(),
            "token_uri": f"{self.url}/public/token",
        }
        path.write_text(json.dumps(account))
        return path

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        audience = f"{self.url}/public/token"
        self.assertions.append(jwt.decode(str(form["assertion"]), self._key.public_key(), ["RS256"], audience=audience))
        return web.json_response({"access_token": KEY, "expires_in": 3599, "token_type": "Bearer"})

    async def _predict(self, request: web.Request) -> web.Response:
        order: Json = await request.json()
        parameters = order["parameters"]
        if parameters.get("durationSeconds") not in {4, 6, 8} or parameters.get("aspectRatio") not in {"16:9", "9:16"}:
            error = {"code": 400, "message": "Unsupported value.", "status": "INVALID_ARGUMENT"}
            return web.json_response({"error": error}, status=400)
        operation = self.begin(order)
        name = f"{_MODEL_PATH.removeprefix('/v1beta1/')}/operations/{operation.identifier}"
        self.operations[name] = self.operations.pop(operation.identifier)
        operation.identifier = name
        return web.json_response({"name": name})

    async def _fetch(self, request: web.Request) -> web.Response:
        found = self.look((await request.json())["operationName"])
        if found is None:
            return web.json_response({"error": {"code": 404, "message": "not found"}}, status=404)
        operation, ended = found
        if not ended:
            return web.json_response({"name": operation.identifier})
        return web.json_response({"name": operation.identifier, "done": True, **self._end()})

    def _end(self) -> Json:
        if self.outcome == "failure":
            return {"error": {"code": 13, "message": "Internal error. Please try again."}}
        if self.outcome == "refusal":
            return {"response": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["58061214"], "videos": []}}
        video = {"bytesBase64Encoded": base64.b64encode(self.video).decode(), "mimeType": "video/mp4"}
        return {"response": {"videos": [video]}}
