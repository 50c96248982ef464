"""The gateway's configuration refuses what would be unsafe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from pydantic import ValidationError

from gateway.envoy.bootstrap import bootstrap
from gateway.envoy.descriptors import PUBLIC_SERVICES, descriptor_set
from gateway.envoy.settings import GatewaySettings, split_address

UPSTREAMS = ("orchestrator", "scheduler", "billing", "encoder", "safety", "transcoder", "edge", "objectstore")


def _settings(**overrides: Any) -> GatewaySettings:
    addresses = {f"{name}_address": "127.0.0.1:1" for name in UPSTREAMS}
    return GatewaySettings(**{**addresses, "jwt_issuer": "https://x", "jwks_file": Path("jwks.json"), **overrides})


@pytest.mark.parametrize("name", ["admin_address", "debug_address"])
def test_listeners_without_tokens_stay_on_loopback(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} must be on loopback"):
        _settings(**{name: "0.0.0.0:9901"})


def test_tls_needs_certificate_and_key() -> None:
    with pytest.raises(ValidationError, match="go together"):
        _settings(tls_certificate=Path("chain.pem"))


def test_addresses_are_split() -> None:
    assert split_address("db.internal:5432") == ("db.internal", 5432)
    assert split_address("[::1]:80") == ("::1", 80)
    with pytest.raises(ValueError, match="not host:port"):
        split_address("localhost")


def test_names_are_resolved_by_dns_and_addresses_are_not() -> None:
    config = bootstrap(_settings(orchestrator_address="orchestrator:7000"), Path("d"))
    kinds = {cluster["name"]: cluster["type"] for cluster in config["static_resources"]["clusters"]}
    assert kinds["orchestrator"] == "STRICT_DNS"
    assert kinds["billing"] == "STATIC"


def test_the_debug_listener_is_off_by_default() -> None:
    listeners = bootstrap(_settings(), Path("d"))["static_resources"]["listeners"]
    assert [listener["name"] for listener in listeners] == ["public"]


def test_descriptors_hold_the_public_services_and_their_imports_in_order() -> None:
    files = FileDescriptorSet.FromString(descriptor_set()).file
    services = {f"{file.package}.{service.name}" for file in files for service in file.service}
    assert set(PUBLIC_SERVICES) <= services
    seen: set[str] = set()
    for file in files:
        assert set(file.dependency) <= seen
        seen.add(file.name)
