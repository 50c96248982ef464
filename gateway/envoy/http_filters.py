"""The chain of HTTP filters, in the order in which a request passes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.envoy.descriptors import PUBLIC_SERVICES
from gateway.envoy.routes import OPENAI_PREFIX, STREAM_PATH, WEBSOCKET_PATH
from gateway.envoy.settings import GatewaySettings

Config = dict[str, Any]

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_LUA = Path(__file__).with_name("response.lua")


def public_filters(settings: GatewaySettings, descriptors: Path) -> list[Config]:
    """The public chain.

    Lua comes first, so that on the way back it sees the transcoder's result. The buffer comes before the
    transcoder, which does not bound a body.
    """
    script = f"local MAX_BODY_BYTES = {settings.max_body_bytes}\n{_LUA.read_text()}"
    return [
        _filter("lua", "lua.v3.Lua", {"default_source_code": {"inline_string": script}}),
        _filter("cors", "cors.v3.Cors", {}),
        _filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", _jwt(settings)),
        _filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", _rate_limit(settings)),
        _filter("grpc_web", "grpc_web.v3.GrpcWeb", {}),
        _filter("buffer", "buffer.v3.Buffer", {"max_request_bytes": settings.max_body_bytes}),
        _filter("grpc_json_transcoder", "grpc_json_transcoder.v3.GrpcJsonTranscoder", _transcoder(descriptors)),
        router(),
    ]


def router() -> Config:
    """The last filter of every chain."""
    return _filter("router", "router.v3.Router", {})


def _filter(name: str, kind: str, config: Config) -> Config:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{_HTTP}.{kind}", **config}}


def _jwt(settings: GatewaySettings) -> Config:
    header = _provider(settings, {"from_headers": [{"name": "authorization", "value_prefix": "Bearer "}]})
    # EventSource and WebSocket in a browser cannot send headers.
    query = {**header, "from_params": ["access_token"]}
    streams = [_rule({"safe_regex": {"regex": path}}, "header_or_query") for path in (STREAM_PATH, WEBSOCKET_PATH)]
    # The edge app takes the ticket, and believes no header that this filter has not set.
    by_ticket = {
        "safe_regex": {"regex": WEBSOCKET_PATH},
        "query_parameters": [{"name": "ticket", "present_match": True}],
    }
    prefixes = ("/v1/", OPENAI_PREFIX, *(f"/{service}/" for service in PUBLIC_SERVICES))
    return {
        "bypass_cors_preflight": True,
        "providers": {"header": header, "header_or_query": query},
        "rules": [{"match": by_ticket}, *streams, *(_rule({"prefix": prefix}, "header") for prefix in prefixes)],
    }


def _provider(settings: GatewaySettings, source: Config) -> Config:
    return {
        "issuer": settings.jwt_issuer,
        "audiences": [settings.jwt_audience],
        "local_jwks": {"filename": str(settings.jwks_file)},
        "claim_to_headers": [
            {"header_name": "x-user-id", "claim_name": "sub"},
            {"header_name": "x-token-expires-at", "claim_name": "exp"},
        ],
        "require_expiration": True,
        "max_lifetime": f"{settings.jwt_max_lifetime_s}s",
        "clock_skew_seconds": 30,
        "payload_in_metadata": "jwt",
        **source,
    }


def _rule(match: Config, provider: str) -> Config:
    return {"match": match, "requires": {"provider_name": provider}}


def _rate_limit(settings: GatewaySettings) -> Config:
    user = {"metadata_key": {"key": "envoy.filters.http.jwt_authn", "path": [{"key": "jwt"}, {"key": "sub"}]}}
    bucket = {
        "max_tokens": settings.requests_per_minute,
        "tokens_per_fill": settings.requests_per_minute,
        "fill_interval": "60s",
    }
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "stat_prefix": "per_user",
        # Requests without a user have passed no token rule; they are bounded by the connection limits.
        "token_bucket": {"max_tokens": 100_000, "tokens_per_fill": 100_000, "fill_interval": "1s"},
        "filter_enabled": always,
        "filter_enforced": always,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        # Otherwise gRPC clients are told UNAVAILABLE, as if the mesh were away.
        "rate_limited_as_resource_exhausted": True,
        "rate_limits": [{"actions": [{"metadata": {"descriptor_key": "user", **user}}]}],
        "descriptors": [{"entries": [{"key": "user"}], "token_bucket": bucket}],
        "max_dynamic_descriptors": 10_000,
    }


def _transcoder(descriptors: Path) -> Config:
    return {
        "proto_descriptor": str(descriptors),
        "services": list(PUBLIC_SERVICES),
        "convert_grpc_status": True,
        "print_options": {"always_print_primitive_fields": True, "preserve_proto_field_names": True},
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    }
