"""Settings of the orchestrator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from services.common.settings import (
    NatsSettings,
    OrphanSettings,
    PostgresSettings,
    ReferenceVideoSettings,
    RetentionSettings,
    S3Settings,
    ServiceSettings,
)
from services.orchestrator.webhooks.secrets import require_master_secret


class Settings(
    PostgresSettings,
    NatsSettings,
    S3Settings,
    RetentionSettings,
    OrphanSettings,
    ReferenceVideoSettings,
    ServiceSettings,
):
    """Read once, in `__main__`."""

    catalogue_path: Path = Path("deploy/catalogue.yaml")
    """The catalogue file: which models are deployed."""
    public_url: str = Field(pattern=r"^https?://[^/\s]+$")
    """The gateway as clients reach it, e.g. https://api.example.com; progress_url is made from it."""
    safety_address: str
    """host:port of the safety service."""
    billing_address: str
    """host:port of the billing service."""

    lease_s: float = Field(default=15.0, gt=0)
    """Seconds a job stays with its owner without a sign of life, by the database's clock."""
    max_attempts: int = Field(default=3, ge=1)
    """Failed attempts in a row without progress (a checkpoint or a finished state) after which a job fails."""
    max_attempts_total: int = Field(default=20, ge=1)
    """Failed attempts after which a job fails, whatever its progress."""
    max_unfinished_jobs: int = Field(default=50, ge=1)
    """Unfinished videos one user may have; more is answered 429."""
    retry_after_s: float = Field(default=10.0, gt=0)
    """Seconds that such an answer asks the client to wait."""
    media_url_expires_s: int = Field(default=3600, ge=1, le=7 * 24 * 3600)
    """Seconds that presigned addresses of videos are good for."""
    media_cdn_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    """Base of a CDN before the media bucket, e.g. https://cdn.example.com; addresses are then it and the object's key,
    unsigned and for good. Absent means presigned addresses of the store itself."""
    previews: bool = True
    """Show those who watch a video small pictures of it while it is made. They may show what the check of the finished
    video refuses: where no user may ever see that, switch them off."""
    stream_heartbeat_s: float = Field(default=15.0, gt=0)
    """Seconds of silence after which an event stream shows a sign of life and looks into the database."""
    reap_interval_s: float = Field(default=1.0, gt=0)
    """Seconds between looks for expired leases and passed deadlines."""
    sweep_interval_s: float = Field(default=5.0, gt=0)
    """Seconds between looks for jobs that nobody was told of, and for accepts that nobody finished."""
    sweep_quiet_s: float = Field(default=10.0, gt=0)
    """Seconds a job may wait for its stage or a worker before its message is published again."""
    wait_limit_s: float = Field(default=24 * 3600.0, gt=0)
    """Seconds a job may wait for its first start; from then on the catalogue's limit for its tier counts."""
    intermediates_keep_s: float = Field(default=3600.0, ge=0)
    """Seconds after which checkpoints and other intermediates of a finished job are deleted."""
    outbox_keep_s: float = Field(default=24 * 3600.0, gt=0)
    """Seconds that published messages are kept, for whoever looks into a fault."""
    accept_abandoned_after_s: float = Field(default=60.0, ge=30)
    """Seconds without a retry after which an interrupted accept is undone and its credits given back."""

    webhook_master_secret: Annotated[SecretStr, AfterValidator(require_master_secret)]
    """Base64 of at least 32 bytes: encrypts users' webhook secrets, and signs for users who gave none."""
    webhook_previous_master_secret: Annotated[SecretStr, AfterValidator(require_master_secret)] | None = None
    """The master secret before, while it is replaced: what it encrypted is read, what it signed is signed by both."""
    webhook_timeout_s: float = Field(default=15.0, gt=0)
    """Seconds a user's server has to answer a webhook."""
    webhook_poll_s: float = Field(default=1.0, gt=0)
    """Seconds between looks for webhooks that are due."""
    webhook_at_once: int = Field(default=100, ge=1)
    """Webhooks this process delivers at once."""
    webhook_endpoint_at_once: int = Field(default=4, ge=1)
    """Webhooks delivered at once to one endpoint (scheme, host and port), over all replicas."""
    webhook_endpoint_per_s: int = Field(default=10, ge=1)
    """Webhooks begun within a second to one endpoint, over all replicas."""
    webhook_retry_delays_s: tuple[float, ...] = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    """Seconds between the attempts to deliver a webhook; after the last it is given up."""
    webhook_allow_private: bool = False
    """Deliver to private addresses and over plain http; for tests and closed networks only."""
