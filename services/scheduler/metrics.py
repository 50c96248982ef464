"""What the scheduler measures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LEADING = Gauge("kinemesh_scheduler_leading", "1 while this replica leads.")
QUEUE_DEPTH = Gauge("kinemesh_scheduler_queue_depth", "Jobs that wait for a worker; only the leader counts.", ["tier"])
WORKERS = Gauge("kinemesh_scheduler_workers", "Connected workers; only the leader counts.", ["status"])
WAIT_SECONDS = Histogram(
    "kinemesh_scheduler_wait_seconds",
    "Time from entering the queue to an assignment.",
    ["tier"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
ASSIGNMENTS = Counter(
    "kinemesh_scheduler_assignments_total", "Attempts to assign a job, by result.", ["tier", "result"]
)
FINISHED = Counter("kinemesh_scheduler_assignments_finished_total", "Ends of assignments, by outcome.", ["outcome"])
MOVES = Counter(
    "kinemesh_scheduler_moves_total",
    "Jobs moved to another model, as nobody offered theirs.",
    ["from_model", "to_model"],
)
PREEMPTIONS = Counter("kinemesh_scheduler_preemptions_total", "Jobs ordered back, by their tier.", ["tier"])
MODEL_LOADS = Counter("kinemesh_scheduler_model_loads_total", "Orders to load a model.", ["model"])
