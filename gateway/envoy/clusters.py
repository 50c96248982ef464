"""Where Envoy sends requests."""

from __future__ import annotations

import ipaddress
from typing import Any

from gateway.envoy.settings import GatewaySettings, split_address

Config = dict[str, Any]

GRPC_SERVICES = ("orchestrator", "scheduler", "billing", "encoder", "safety", "transcoder")
_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(settings: GatewaySettings) -> list[Config]:
    """All upstream clusters: the services over HTTP/2, the edge app and the object store over HTTP/1.1."""
    grpc = [_cluster(name, getattr(settings, f"{name}_address"), _http2()) for name in GRPC_SERVICES]
    edge = _cluster("edge", settings.edge_address, {"http_protocol_options": {}}) | {"lb_policy": "RING_HASH"}
    store = _cluster("objectstore", settings.objectstore_address, {"http_protocol_options": {}})
    return [*grpc, edge, store]


def _cluster(name: str, address: str, protocol: Config) -> Config:
    host, port = split_address(address)
    endpoint = {"endpoint": {"address": socket_address(host, port)}}
    return {
        "name": name,
        "type": "STATIC" if _is_ip(host) else "STRICT_DNS",
        "connect_timeout": "2s",
        # Every open stream is a request: the default of 1024 would refuse watchers.
        "circuit_breakers": {
            "thresholds": [{"max_connections": 1024, "max_pending_requests": 20_000, "max_requests": 50_000}]
        },
        "typed_extension_protocol_options": {
            _PROTOCOL: {"@type": f"type.googleapis.com/{_PROTOCOL}", "explicit_http_config": protocol}
        },
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _http2() -> Config:
    keepalive = {"interval": "20s", "timeout": "10s"}
    windows = {"initial_stream_window_size": 65_536, "initial_connection_window_size": 1_048_576}
    return {"http2_protocol_options": {**windows, "connection_keepalive": keepalive}}


def socket_address(host: str, port: int) -> Config:
    """An Envoy address."""
    return {"socket_address": {"address": host, "port_value": port}}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
