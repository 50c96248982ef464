"""How the command finds the mesh and proves who it is.

The local runner writes `<state directory>/endpoints.json`:

    {"gateway_url": "http://127.0.0.1:8080", "billing_address": "127.0.0.1:7003",
     "jwt": {"issuer": "https://kinemesh.local", "audience": "kinemesh", "key_file": "keys/jwt.pem", "key_id": "local"}}

`key_file` is relative to the state directory. For a mesh elsewhere, give --url and --token (or
KINEMESH_URL, KINEMESH_TOKEN).
"""

from __future__ import annotations

import time
from pathlib import Path

import jwt
from pydantic import BaseModel, ConfigDict, ValidationError

ENDPOINTS_FILE = "endpoints.json"
DEFAULT_STATE_DIR = Path(".kinemesh")
DEFAULT_USER = "local"


class MeshNotFoundError(Exception):
    """No mesh was named and none is running here."""


class TokenKey(BaseModel):
    """The key of a local mesh that signs tokens."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    audience: str
    key_file: Path
    key_id: str


class Endpoints(BaseModel):
    """Where a local mesh listens."""

    model_config = ConfigDict(frozen=True)

    gateway_url: str
    billing_address: str
    jwt: TokenKey


def read_endpoints(state_dir: Path) -> Endpoints:
    """Reads what the local runner wrote.

    Raises:
        MeshNotFoundError: There is no such file, or it is not the runner's.
    """
    path = state_dir / ENDPOINTS_FILE
    try:
        return Endpoints.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MeshNotFoundError(f"no mesh is running here ({path} is missing): `make up`, or give --url") from None
    except ValidationError as error:
        raise MeshNotFoundError(f"{path} cannot be read: {error}") from error


def mint_token(state_dir: Path, endpoints: Endpoints, user: str, ttl_s: int) -> str:
    """Signs a token for a user with the local mesh's key (ES256)."""
    key = (state_dir / endpoints.jwt.key_file).read_text(encoding="ascii")
    now = int(time.time())
    claims = {
        "sub": user,
        "iss": endpoints.jwt.issuer,
        "aud": endpoints.jwt.audience,
        "iat": now,
        "exp": now + ttl_s,
    }
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": endpoints.jwt.key_id})
