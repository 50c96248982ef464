"""The folder and the ports of a local mesh."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy.local.home import GATEWAY_PORT, PortTakenError, check_ports, open_home
from deploy.local.ports import free_ports


def test_the_fixed_ports_differ_and_the_gateway_has_the_usual_one(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    assert home.gateway_url == f"http://127.0.0.1:{GATEWAY_PORT}"
    assert len(set(home.ports.values())) == len(home.ports)


def test_free_ports_are_kept_until_fixed_ones_are_asked_for(tmp_path: Path) -> None:
    chosen = open_home(tmp_path, ports="free").ports
    assert open_home(tmp_path).ports == chosen
    assert open_home(tmp_path, ports="fixed").ports["gateway"] == GATEWAY_PORT


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    home = open_home(tmp_path, ports="free")
    check_ports(home)
    with socket.create_server(("127.0.0.1", home.ports["nats"])), pytest.raises(PortTakenError, match="nats"):
        check_ports(home)


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(50))) == 50


def test_an_incomplete_list_of_ports_is_made_again(tmp_path: Path) -> None:
    home = open_home(tmp_path, ports="free")
    (tmp_path / "ports.json").write_text('{"gateway": 1}')
    assert set(open_home(tmp_path).ports) == set(home.ports)
