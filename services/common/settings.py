"""Settings that services share.

A service combines the mix-ins it needs into one frozen object, which only its `__main__` builds from the environment:

    class Settings(PostgresSettings, NatsSettings, ServiceSettings): ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class _KinemeshSettings(BaseSettings):
    """Reads `KINEMESH_<FIELD>`; unknown variables are left to other processes."""

    model_config = SettingsConfigDict(
        env_prefix="KINEMESH_", frozen=True, use_attribute_docstrings=True, extra="ignore", env_ignore_empty=True
    )


class ServiceSettings(_KinemeshSettings):
    """Settings of every service."""

    grpc_address: str = Field(default="127.0.0.1:0", pattern=r"^\S+:\d+$")
    """host:port the gRPC server listens on; port 0 picks a free one."""
    metrics_host: str = "127.0.0.1"
    """Address the Prometheus metrics are served on."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port the Prometheus metrics are served on; 0 picks a free one."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged."""
    otlp_endpoint: str | None = None
    """OTLP/gRPC collector for traces, e.g. http://127.0.0.1:4317; absent means that spans are not exported."""
    ready_file: Path | None = None
    """File written once the service serves, with its ports as JSON; removed when it stops serving."""
    dependency_patience_s: float = Field(default=5.0, gt=0)
    """Seconds that something the service needs, e.g. its database, may be gone before its health says NOT_SERVING."""
    shutdown_grace_s: float = Field(default=10.0, gt=0)
    """Seconds that running calls and jobs get to finish after SIGTERM."""


class PostgresSettings(_KinemeshSettings):
    """Settings of a service that has a schema in PostgreSQL."""

    postgres_dsn: SecretStr
    """postgresql://user:password@host:port/database."""
    postgres_pool_size: int = Field(default=10, ge=2)
    """Most connections this process opens."""
    postgres_statement_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds after which the server gives up a statement."""
    postgres_connect_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait at start for a server that does not answer yet."""
    postgres_allow_unsafe_durability: bool = False
    """Accept a server with fsync, full_page_writes or synchronous_commit off; it may lose accepted jobs."""


class NatsSettings(_KinemeshSettings):
    """Settings of a service that uses NATS."""

    nats_url: SecretStr = SecretStr("nats://127.0.0.1:4222")
    """nats://[user:password@]host:port."""
    nats_connect_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait at start for a server that does not answer yet; later reconnection never ends."""


class S3Settings(_KinemeshSettings):
    """Settings of a service that reads or writes objects."""

    s3_endpoint_url: str
    """Base of the S3 API, e.g. http://127.0.0.1:8333."""
    s3_public_endpoint_url: str | None = None
    """Base that clients reach the same API by (presigned URLs are signed for it); absent means the endpoint itself."""
    s3_region: str = "us-east-1"
    """Region put into signatures."""
    s3_access_key: SecretStr
    """Access key id."""
    s3_secret_key: SecretStr
    """Secret access key."""
    s3_bucket_embeddings: str = "embeddings"
    """Bucket of prompt embeddings."""
    s3_bucket_checkpoints: str = "checkpoints"
    """Bucket of denoising checkpoints."""
    s3_bucket_mezzanine: str = "mezzanine"
    """Bucket of lossless intermediates."""
    s3_bucket_media: str = "media"
    """Bucket of deliverables."""

    @property
    def s3_buckets(self) -> tuple[str, ...]:
        """Every bucket the mesh uses."""
        return (self.s3_bucket_embeddings, self.s3_bucket_checkpoints, self.s3_bucket_mezzanine, self.s3_bucket_media)


class ReferenceVideoSettings(_KinemeshSettings):
    """Settings of a service that deals with the addresses of users' reference videos."""

    reference_video_allow_private: bool = False
    """Fetch reference videos from private addresses and over plain http; for tests and closed networks only."""


class RetentionSettings(_KinemeshSettings):
    """Settings of a service whose tables would grow for ever."""

    history_keep_s: float = Field(default=30 * 24 * 3600.0, ge=8 * 24 * 3600)
    """Seconds that rows about what has ended are kept: events, checkpoints, assignments, webhooks, messages seen.
    Longer than the broker keeps a message, or one could be applied twice."""
    prune_interval_s: float = Field(default=600.0, gt=0)
    """Seconds between looks for such rows that are too old."""


class OrphanSettings(_KinemeshSettings):
    """Settings of a service that owns the rows which make objects real."""

    orphan_age_s: float = Field(default=24 * 3600.0, ge=3600)
    """Seconds after which an object that no row points at is deleted; longer than anything takes to be committed."""
    orphan_interval_s: float = Field(default=6 * 3600.0, gt=0)
    """Seconds between two looks through the buckets for such objects."""
