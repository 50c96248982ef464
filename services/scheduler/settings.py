"""Settings of the scheduler service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.common.settings import NatsSettings, PostgresSettings, RetentionSettings, ServiceSettings


class Settings(PostgresSettings, NatsSettings, RetentionSettings, ServiceSettings):
    """Everything that can be set. Several replicas may run; one leads, the others answer reads."""

    orchestrator_address: str
    """host:port of the orchestrator."""
    catalogue_path: Path = Path("deploy/catalogue.yaml")
    """Catalogue file; a worker that holds no model and has nothing to do loads its default model."""
    heartbeat_interval_s: float = Field(default=5.0, gt=0)
    """Seconds between two heartbeats of a worker."""
    worker_lease_s: float = Field(default=15.0, gt=0)
    """Seconds of silence, by the database's clock, after which a worker is offline."""
    tick_s: float = Field(default=1.0, gt=0)
    """Seconds between two rounds of placement when nothing happens; news start one at once."""
    reconcile_interval_s: float = Field(default=15.0, gt=0)
    """Seconds between two comparisons of the queue with the orchestrator's queued jobs."""
    ageing_s: float = Field(default=300.0, gt=0)
    """Seconds of waiting that lift a job by one tier; without bound, so that nothing starves."""
    preempt_below_fraction: float = Field(default=0.9, ge=0, le=1)
    """A job with at least this share of its steps done is not preempted: its worker is free soon anyway."""
    preempt_patience_s: float = Field(default=60.0, gt=0)
    """Seconds after which an order to give a job back counts as ignored."""
    load_patience_s: float = Field(default=180.0, gt=0)
    """Seconds after which an order to load a model counts as failed."""
    fallback_after_s: float = Field(default=30.0, ge=0)
    """Seconds that no connected worker offers a model before its jobs move to another, where their users allowed it;
    longer than a restart of a worker, shorter than a provider that fails is left alone."""
    leader_check_s: float = Field(default=2.0, gt=0)
    """Seconds between two proofs that this replica still leads, or attempts to lead."""
    leader_silence_s: float = Field(default=10.0, gt=0)
    """Seconds after which the database ends the session of a leader that stands still; more than leader_check_s."""
