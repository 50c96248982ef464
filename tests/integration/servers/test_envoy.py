"""Envoy from the wheel."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import free_port
from deploy.local.process import Process, StartError, running
from deploy.local.servers.envoy import Envoy

pytestmark = pytest.mark.integration


def server_in(directory: Path, extra: dict[str, object]) -> Envoy:
    port = free_port()
    admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    config = directory / "envoy.json"
    config.write_text(json.dumps({"admin": admin, **extra}))
    return Envoy(config=config, log=directory / "envoy.log", admin_port=port)


async def test_it_serves_its_admin_listener(tmp_path: Path) -> None:
    server = server_in(tmp_path, {})
    async with running(server.program()), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{server.admin_port}/server_info")
    assert answer.json()["state"] == "LIVE"


async def test_a_refused_configuration_is_reported_in_envoys_words(tmp_path: Path) -> None:
    server = server_in(tmp_path, {"no_such_field": 1})
    with pytest.raises(StartError, match=r"envoy could not be started: .*no_such_field"):
        Process.start(server.program())
