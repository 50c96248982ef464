"""What the runner prints."""

from __future__ import annotations

from pathlib import Path

import jwt

from deploy.local.commands import studio_url
from deploy.local.home import open_home
from deploy.local.mesh import JWT_AUDIENCE, JWT_ISSUER, write_endpoints


def test_the_studio_s_address_carries_a_token_that_the_gateway_would_take(tmp_path: Path) -> None:
    home = open_home(tmp_path, ports="free")
    write_endpoints(home)
    address, token = studio_url(home).split("#token=")
    key = jwt.PyJWKSet.from_json(home.keys.jwks.read_text()).keys[0]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience=JWT_AUDIENCE, issuer=JWT_ISSUER)
    assert address == f"{home.gateway_url}/"
    assert claims["sub"] == "local"
    assert claims["exp"] - claims["iat"] <= 86_400
