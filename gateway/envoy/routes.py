"""Which request goes where. A path that is not listed reaches no service."""

from __future__ import annotations

import re
from typing import Any

from gateway.envoy.clusters import GRPC_SERVICES
from gateway.envoy.descriptors import PUBLIC_SERVICES, rest_methods
from gateway.envoy.settings import GatewaySettings

Config = dict[str, Any]

VIDEO_SERVICE, WEBHOOK_SERVICE, WORKER_SERVICE, ACCOUNT_SERVICE = PUBLIC_SERVICES
WEBSOCKET_PATH = "/v1/videos/[^/]+/progress"
TICKET_PATH = f"{WEBSOCKET_PATH}/ticket"
OPENAI_PREFIX = "/openai/"
STREAM_PATH = "/v1/videos/[^/]+/stream"
_OWNERS = {
    VIDEO_SERVICE: "orchestrator",
    WEBHOOK_SERVICE: "orchestrator",
    WORKER_SERVICE: "scheduler",
    ACCOUNT_SERVICE: "billing",
}
_REST_OWNERS = {
    "/v1/videos": "orchestrator",
    "/v1/webhooks": "orchestrator",
    "/v1/workers": "scheduler",
    "/v1/account": "billing",
}
_TRANSCODER_OFF = {
    "envoy.filters.http.grpc_json_transcoder": {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "disabled": True,
    }
}
# A WebSocket's request never ends, so it must not be buffered.
_BUFFER_OFF = {
    "envoy.filters.http.buffer": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
        "disabled": True,
    }
}
# How long a stream may be silent is the listener's matter, except for typed streams, which have no heartbeat.
_STREAM = {"timeout": "0s"}
_TYPED_STREAM = {"timeout": "0s", "idle_timeout": "0s"}
_CALL = {"timeout": "30s"}
# The edge app may ask several times before it answers, or make the file that is asked for.
_LONG_CALL = {"timeout": "30s", "idle_timeout": "30s"}
_DOWNLOAD = {"timeout": "0s", "idle_timeout": "120s"}
# A ticket is known to the edge app that made it, so both requests are sent by the video's id.
_SAME_EDGE = {
    "hash_policy": [
        {
            "header": {
                "header_name": ":path",
                "regex_rewrite": {"pattern": {"regex": "/v1/videos/([^/]+)/.*"}, "substitution": "\\1"},
            }
        }
    ]
}


def public_virtual_host(settings: GatewaySettings) -> Config:
    """The routes of the public listener."""
    return {
        "name": "public",
        "domains": ["*"],
        "typed_per_filter_config": {"envoy.filters.http.cors": _cors(settings)},
        "routes": [
            *_wrong_methods(),
            _websocket(),
            _ticket(),
            *_openai_routes(),
            *_grpc_routes(),
            *_rest_routes(),
            _unknown_grpc(),
            _unknown_rest(),
            _media(),
            _edge(),
        ],
    }


def debug_virtual_host() -> Config:
    """The routes of the debug listener: by package, or by header `x-service` for reflection and health."""
    by_package = [_to(name, {"prefix": f"/kinemesh.{_package(name)}.v1."}, _STREAM) for name in GRPC_SERVICES]
    by_header = [
        _to(name, {"prefix": "/", "headers": [{"name": "x-service", "string_match": {"exact": name}}]}, _STREAM)
        for name in GRPC_SERVICES
    ]
    job_service = _to("orchestrator", {"prefix": "/kinemesh.orchestrator.v1."}, _STREAM)
    default = _to("orchestrator", {"prefix": "/"}, _STREAM)
    return {"name": "debug", "domains": ["*"], "routes": [*by_header, *by_package, job_service, default]}


def _package(service: str) -> str:
    return "video" if service == "orchestrator" else service


def _to(cluster: str, match: Config, action: Config) -> Config:
    return {"match": match, "route": {"cluster": cluster, **action}}


def _grpc_routes() -> list[Config]:
    watch = _to("orchestrator", {"path": f"/{VIDEO_SERVICE}/WatchVideo"}, _TYPED_STREAM)
    stream = _to("orchestrator", {"path": f"/{VIDEO_SERVICE}/StreamVideo"}, _STREAM)
    return [watch, stream] + [_to(owner, {"prefix": f"/{service}/"}, _CALL) for service, owner in _OWNERS.items()]


def _rest_routes() -> list[Config]:
    # Matched before transcoding too: without them, CORS and the token rules would not see a REST path.
    stream = _to("orchestrator", _regex(STREAM_PATH), _STREAM)
    return [stream, *(_to(owner, _under(path), _CALL) for path, owner in _REST_OWNERS.items())]


def _wrong_methods() -> list[Config]:
    """405 for a path that is there with a method that is not; elsewhere it would be 404, as no method has that path."""
    own = {"/v1/videos/{request_id}/progress": {"GET"}, "/v1/videos/{request_id}/progress/ticket": {"POST"}}
    return [_wrong_method(path, sorted(verbs)) for path, verbs in (rest_methods() | own).items()]


def _wrong_method(path: str, verbs: list[str]) -> Config:
    # OPTIONS is for the filter that answers preflights.
    known = {"safe_regex": {"regex": "|".join((*verbs, "OPTIONS"))}}
    other = {"name": ":method", "string_match": known, "invert_match": True}
    allow = {"header": {"key": "allow", "value": ", ".join(verbs)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "match": {**_regex(re.sub(r"\{\w+\}", "[^/]+", path)), "headers": [other]},
        "direct_response": {"status": 405},
        "response_headers_to_add": [allow],
        "typed_per_filter_config": _TRANSCODER_OFF,
    }


def _under(path: str) -> Config:
    return _regex(f"{path}(/.*)?")


def _regex(pattern: str) -> Config:
    return {"safe_regex": {"regex": pattern}}


def _websocket() -> Config:
    upgrade = {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": True}]}
    return {
        **_to("edge", _regex(WEBSOCKET_PATH), {**_STREAM, **_SAME_EDGE, **upgrade}),
        "typed_per_filter_config": {**_TRANSCODER_OFF, **_BUFFER_OFF},
    }


def _ticket() -> Config:
    return {**_to("edge", _regex(TICKET_PATH), {**_CALL, **_SAME_EDGE}), "typed_per_filter_config": _TRANSCODER_OFF}


def _openai_routes() -> list[Config]:
    content = _to("edge", _regex(f"{OPENAI_PREFIX}v1/videos/[^/]+/content"), _DOWNLOAD)
    others = _to("edge", {"prefix": OPENAI_PREFIX}, _LONG_CALL)
    return [{**route, "typed_per_filter_config": _TRANSCODER_OFF} for route in (content, others)]


def _unknown_grpc() -> Config:
    return {
        "match": {"prefix": "/", "headers": [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}]},
        "direct_response": {"status": 404},
        "typed_per_filter_config": _TRANSCODER_OFF,
    }


def _unknown_rest() -> Config:
    return {"match": {"prefix": "/v1/"}, "direct_response": {"status": 404}, "typed_per_filter_config": _TRANSCODER_OFF}


def _media() -> Config:
    # Host and path stay as they are: the presigned signature covers both. A token sent along is not for the store.
    return {
        **_to("objectstore", {"prefix": "/media/"}, {"timeout": "0s"}),
        "request_headers_to_remove": ["authorization"],
        "typed_per_filter_config": _TRANSCODER_OFF,
    }


def _edge() -> Config:
    return {**_to("edge", {"prefix": "/"}, _CALL), "typed_per_filter_config": _TRANSCODER_OFF}


def _cors(settings: GatewaySettings) -> Config:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": origin} for origin in settings.cors_origins],
        "allow_methods": "GET, POST, DELETE, OPTIONS",
        "allow_headers": "authorization,content-type,idempotency-key,x-request-id,x-grpc-web,x-user-agent,grpc-timeout,"
        "last-event-id",
        "expose_headers": "grpc-status,grpc-message,grpc-status-details-bin,x-request-id,retry-after,"
        "idempotent-replayed,openai-poll-after-ms",
        "max_age": "600",
    }
