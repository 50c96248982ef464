"""Settings of the gateway."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """What the rendered Envoy configuration depends on; read from `KINEMESH_GATEWAY_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="KINEMESH_GATEWAY_",
        frozen=True,
        use_attribute_docstrings=True,
        extra="ignore",
        env_ignore_empty=True,
    )

    listen_address: str = "127.0.0.1:8080"
    """host:port of the public listener."""
    debug_address: str | None = None
    """host:port of a listener that reaches every service, with reflection and without tokens; loopback only."""
    admin_address: str = "127.0.0.1:9901"
    """host:port of Envoy's admin interface; loopback only."""

    orchestrator_address: str
    """host:port of the orchestrator."""
    scheduler_address: str
    """host:port of the scheduler."""
    billing_address: str
    """host:port of billing."""
    encoder_address: str
    """host:port of the encoder; reached by the debug listener only."""
    safety_address: str
    """host:port of safety; reached by the debug listener only."""
    transcoder_address: str
    """host:port of the transcoder; reached by the debug listener only."""
    edge_address: str
    """host:port of the edge app."""
    objectstore_address: str
    """host:port of the S3 API that serves `/media/`."""

    jwt_issuer: str
    """Required `iss` of every token."""
    jwt_audience: str = "kinemesh"
    """Required `aud` of every token."""
    jwks_file: Path
    """Public keys that tokens are verified with (JWKS, ES256 or RS256); restart the gateway after a change."""
    jwt_max_lifetime_s: int = Field(default=86_400, ge=60)
    """Tokens that live longer than this are refused, seconds."""

    cors_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may call the API."""
    max_body_bytes: int = Field(default=15 * 2**20, ge=1024)
    """A larger request body is answered 413; below what a service accepts as one message (16 MiB)."""
    stream_idle_timeout_s: float = Field(default=60.0, gt=0)
    """A request or event stream that is silent for longer is ended; event streams say something every 15 s, seconds."""
    requests_per_minute: int = Field(default=600, ge=1)
    """Requests a user may send in a minute; more are answered 429 with Retry-After."""
    tls_certificate: Path | None = None
    """Certificate chain of the public listener (PEM); absent for plain text."""
    tls_key: Path | None = None
    """Its private key (PEM)."""

    @model_validator(mode="after")
    def _consistent(self) -> GatewaySettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        for name in ("admin_address", "debug_address"):
            address = getattr(self, name)
            if address is not None and split_address(address)[0] not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError(f"{name} must be on loopback: it asks for no token")
        return self


def split_address(address: str) -> tuple[str, int]:
    """Splits "host:port"; raises ValueError on anything else."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)
