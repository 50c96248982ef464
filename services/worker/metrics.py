"""Prometheus metrics of the worker."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

STEP_SECONDS = Histogram(
    "kinemesh_worker_step_seconds",
    "Time the model took for one step, by state of the job.",
    ["state"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
BUSY_SHARE = Gauge("kinemesh_worker_busy_share", "Share of the last seconds in which the models worked, 0 to 1.")
CHECKPOINT_SECONDS = Histogram(
    "kinemesh_worker_checkpoint_seconds",
    "Time from writing a checkpoint to its commit.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
CHECKPOINTS = Counter(
    "kinemesh_worker_checkpoints_total", "Checkpoints by result: committed, local or lost.", ["result"]
)
ASSIGNMENTS = Counter("kinemesh_worker_assignments_total", "Assignments that ended, by outcome.", ["outcome"])
MODEL_LOADS = Histogram(
    "kinemesh_worker_model_load_seconds",
    "Time to load a model of the catalogue and prove that it works.",
    buckets=(1, 2, 5, 10, 20, 60, 120),
)
PROVIDER_OPERATIONS = Counter(
    "kinemesh_worker_provider_operations_total",
    "Operations at providers: begun, done, refused or failed.",
    ["model", "result"],
)
PROVIDER_COST = Counter("kinemesh_worker_provider_cost_usd_total", "What providers charged, US dollars.", ["model"])
PROVIDER_SUSPENSIONS = Counter(
    "kinemesh_worker_provider_suspensions_total",
    "Times a model was not offered because its provider failed.",
    ["model"],
)
MODEL_REPAIRS = Counter("kinemesh_worker_model_repairs_total", "Processes of models that were replaced.", ["model"])
