"""Prometheus metrics every service has, and the HTTP server they are read from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, start_http_server

RPC_SECONDS = Histogram(
    "kinemesh_rpc_server_seconds",
    "Time to answer a call, by method and status.",
    ["method", "code"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RPC_IN_FLIGHT = Gauge("kinemesh_rpc_server_in_flight", "Calls being answered, open streams included.", ["method"])
MESSAGES = Counter("kinemesh_messages_total", "JetStream messages handled, by result.", ["consumer", "result"])
OUTBOX_EVENTS = Counter("kinemesh_outbox_events_total", "Attempts to publish an outbox row, by result.", ["result"])
STAGE_SECONDS = Histogram(
    "kinemesh_stage_seconds",
    "Time a job spent in one attempt of a stage, by result.",
    ["stage", "result"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
BACKGROUND_ERRORS = Counter("kinemesh_background_errors_total", "Rounds of a periodic task that failed.", ["task"])


@contextmanager
def metrics_server(host: str, port: int) -> Iterator[int]:
    """Serves the metrics at http://host:port/metrics while open; yields the bound port."""
    server, thread = start_http_server(port, addr=host)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
