"""The whole Envoy configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gateway.envoy.clusters import clusters, socket_address
from gateway.envoy.descriptors import descriptor_set
from gateway.envoy.http_filters import public_filters, router
from gateway.envoy.replies import local_reply_config
from gateway.envoy.routes import debug_virtual_host, public_virtual_host
from gateway.envoy.settings import GatewaySettings, split_address

Config = dict[str, Any]

_TYPES = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"


def render(settings: GatewaySettings, directory: Path) -> Path:
    """Writes envoy.yaml and the descriptor set it names into `directory`; returns the path of envoy.yaml."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptors = directory / "descriptors.binpb"
    descriptors.write_bytes(descriptor_set())
    config = directory / "envoy.yaml"
    config.write_text(yaml.safe_dump(bootstrap(settings, descriptors), sort_keys=False))
    return config


def bootstrap(settings: GatewaySettings, descriptors: Path) -> Config:
    """The bootstrap as plain data."""
    listeners = [_public_listener(settings, descriptors)]
    if settings.debug_address is not None:
        listeners.append(_listener("debug", settings.debug_address, _debug_manager()))
    return {
        "admin": {"address": socket_address(*split_address(settings.admin_address))},
        # Bounds what one HTTP/2 client can make Envoy do by opening and resetting streams (CVE-2023-44487).
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {
                        "http.max_requests_per_io_cycle": 1,
                        "overload.premature_reset_total_stream_count": 200,
                    },
                }
            ]
        },
        "overload_manager": _overload(),
        "static_resources": {"listeners": listeners, "clusters": clusters(settings)},
    }


def _public_listener(settings: GatewaySettings, descriptors: Path) -> Config:
    listener = _listener("public", settings.listen_address, _public_manager(settings, descriptors))
    if settings.tls_certificate is not None:
        listener["filter_chains"][0]["transport_socket"] = _tls(settings)
    return listener


def _listener(name: str, address: str, manager: Config) -> Config:
    network_filter = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "name": name,
        "address": socket_address(*split_address(address)),
        "per_connection_buffer_limit_bytes": 32_768,
        "filter_chains": [{"filters": [network_filter]}],
    }


def _public_manager(settings: GatewaySettings, descriptors: Path) -> Config:
    return {
        **_manager("public"),
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "max_request_headers_kb": 8,  # a gRPC server refuses more metadata, and Envoy would answer 429 for it
        "request_headers_timeout": "5s",
        "request_timeout": "30s",
        "stream_idle_timeout": f"{settings.stream_idle_timeout_s}s",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": 64,
        },
        # Otherwise the parser answers methods it does not know with 400; the routes answer them as all others.
        "http_protocol_options": {"allow_custom_methods": True},
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
            # Finds dead clients of gRPC streams, which may be silent for as long as a job waits.
            "connection_keepalive": {"interval": "20s", "timeout": "10s"},
        },
        "upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}],
        "local_reply_config": local_reply_config(),
        "access_log": [_access_log()],
        "route_config": {"name": "public", "virtual_hosts": [public_virtual_host(settings)]},
        "http_filters": public_filters(settings, descriptors),
    }


def _debug_manager() -> Config:
    routes = {"name": "debug", "virtual_hosts": [debug_virtual_host()]}
    return {**_manager("debug"), "route_config": routes, "http_filters": [router()]}


def _manager(name: str) -> Config:
    return {
        "@type": _MANAGER,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        # X-Request-ID is the idempotency key: it must reach the orchestrator byte for byte.
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_TYPES}.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
                "use_request_id_for_trace_sampling": False,
            }
        },
    }


def _access_log() -> Config:
    # The path without its query, which may carry a token or a signature.
    fields = {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_ms": "%DURATION%",
        "bytes_sent": "%BYTES_SENT%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "user_id": "%REQ(X-USER-ID)%",
    }
    kind = f"{_TYPES}.access_loggers.stream.v3.StdoutAccessLog"
    return {"name": "stdout", "typed_config": {"@type": kind, "log_format": {"json_format": fields}}}


def _tls(settings: GatewaySettings) -> Config:
    certificate = {
        "certificate_chain": {"filename": str(settings.tls_certificate)},
        "private_key": {"filename": str(settings.tls_key)},
    }
    context = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [certificate],
    }
    kind = f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": context}}


def _overload() -> Config:
    kind = f"{_TYPES}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = {"@type": kind, "max_active_downstream_connections": 20_000}
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"refresh_interval": "0.25s", "resource_monitors": [{"name": name, "typed_config": monitor}]}
