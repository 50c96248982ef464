"""Settings of the edge app."""

from __future__ import annotations

from pydantic import Field

from services.common.settings import ServiceSettings


class EdgeSettings(ServiceSettings):
    """Where the edge app listens and whom it calls; behind Envoy, which verifies the caller."""

    http_address: str = Field(default="127.0.0.1:0", pattern=r"^\S+:\d+$")
    """host:port of the HTTP server; port 0 picks a free one, reported in the ready file as `http`."""
    orchestrator_address: str
    """host:port of the orchestrator."""
    websocket_heartbeat_s: float = Field(default=15.0, gt=0)
    """A WebSocket whose client does not answer a ping within this time is closed, seconds."""
    s3_endpoint_url: str | None = None
    """Where the object store is reached from here; by default where the media's addresses lead."""
    s3_public_endpoint_url: str | None = None
    """Base of the media's addresses, as the other services make them; the studio may load from there too."""
