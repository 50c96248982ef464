"""Settings of the worker."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from services.common.settings import S3Settings
from services.worker.providers.settings import ProviderSettings


class Settings(S3Settings, ProviderSettings):
    """Everything that can be set."""

    worker_id: str = Field(default_factory=socket.gethostname, min_length=1, max_length=64)
    """Names this worker; no two workers may have the same."""
    pod_name: str = Field(default_factory=socket.gethostname, max_length=128)
    """Pod, or host name outside Kubernetes."""
    node_name: str = Field(default_factory=socket.gethostname, max_length=128)
    """Machine."""
    scheduler_address: str = Field(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")
    """host:port of each scheduler replica, separated by commas; tried in turn until the leader answers."""
    orchestrator_address: str
    """host:port of the orchestrator."""
    worker_backend: Literal["triton", "provider"] = "triton"
    """What the worker serves: the catalogue's models on the Triton beside it, or those behind providers."""
    triton_address: str | None = None
    """host:port of the Triton beside this worker; no other worker may use it. Needed with worker_backend triton."""
    catalogue_path: Path = Path("deploy/catalogue.yaml")
    """Catalogue file; names the models this worker can load."""
    scratch_directory: Path
    """Directory shared with this worker's Triton alone; tensors pass through it. Job files are removed at start."""
    preload_default_model: bool = True
    """Load the catalogue's default model before the worker reports ready."""
    model_memory_gb: float | None = Field(default=None, gt=0)
    """Memory the loaded models may take, GiB; absent means all that the hardware has."""
    checkpoint_every_steps: int = Field(default=5, ge=0, le=100)
    """Denoising steps between checkpoints; 0 writes one only when a job is given back."""
    previews_per_job: int = Field(default=10, ge=0, le=100)
    """Pictures of the unfinished clip that a job sends, about, spread over its denoising steps; 0 for none."""
    checkpoint_retention_s: float = Field(default=3600, ge=0)
    """Seconds a local checkpoint is kept after it was written; the copy in the object store stays."""
    step_timeout_s: float = Field(default=120, gt=0)
    """Seconds without a response from a running model after which it counts as stuck."""
    model_load_timeout_s: float = Field(default=600, gt=0)
    """Seconds a model may take to load; tens of gigabytes are read, and read once more to know what they are."""
    triton_start_timeout_s: float = Field(default=60, gt=0)
    """Seconds to wait at start for a Triton that does not answer yet."""
    probe_interval_s: float = Field(default=15, gt=0)
    """Seconds between real requests by which an idle worker finds out whether its models still work."""
    shutdown_grace_s: float = Field(default=30.0, gt=0)
    """Seconds the running job has after SIGTERM to reach its next step, to be saved and given back."""

    @model_validator(mode="after")
    def _triton_is_somewhere(self) -> Settings:
        if self.worker_backend == "triton" and self.triton_address is None:
            raise ValueError("triton_address is needed with worker_backend triton")
        return self

    @property
    def scheduler_addresses(self) -> tuple[str, ...]:
        """The scheduler replicas."""
        return tuple(self.scheduler_address.split(","))
