"""The source's table of workers, the queue, and what was assigned to whom."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
-- The source's columns and indexes. Its foreign key to video_generations is left out: that table is another service's.
CREATE TABLE gpu_workers (
    worker_id VARCHAR(64) PRIMARY KEY,
    pod_name VARCHAR(128) NOT NULL,
    node_name VARCHAR(128) NOT NULL,
    status VARCHAR(32) NOT NULL DEFAULT 'IDLE'
        CHECK (status IN ('IDLE', 'LOADING_MODEL', 'READY', 'GENERATING', 'CHECKPOINTING', 'DECODING', 'DRAINING',
                          'OFFLINE')),

    -- Hardware info
    gpu_type VARCHAR(32) NOT NULL,
    gpu_count INTEGER NOT NULL,
    gpu_memory_total_gb NUMERIC(5,2) NOT NULL,

    -- Loaded models
    loaded_models JSONB,

    -- Current job
    current_request_id UUID,
    current_job_started_at TIMESTAMP WITH TIME ZONE,

    -- Health
    last_heartbeat TIMESTAMP WITH TIME ZONE,
    jobs_completed_today INTEGER DEFAULT 0,
    error_count_today INTEGER DEFAULT 0,

    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),

    -- The rest of the data model GPUWorkerState
    gpu_memory_used_gb NUMERIC(5,2) NOT NULL DEFAULT 0,
    nvlink_topology VARCHAR(32) NOT NULL DEFAULT 'none',
    current_step INTEGER,
    average_generation_time_ms INTEGER NOT NULL DEFAULT 0,
    checkpoint_save_time_ms INTEGER NOT NULL DEFAULT 0,

    -- What scheduling needs
    gpu_utilization REAL NOT NULL DEFAULT 0,
    models TEXT[] NOT NULL DEFAULT '{}',
    session_id UUID,
    drain_requested BOOLEAN NOT NULL DEFAULT false,
    counters_day DATE NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date
);
CREATE INDEX idx_workers_status ON gpu_workers(status);
CREATE INDEX idx_workers_heartbeat ON gpu_workers(last_heartbeat);

CREATE TABLE job_queue (
    request_id            uuid PRIMARY KEY,
    user_id               varchar(128) NOT NULL,
    tier                  varchar(16) NOT NULL CHECK (tier IN ('REALTIME', 'STANDARD', 'CINEMA')),
    priority              integer NOT NULL,
    model                 varchar(32) NOT NULL,
    prompt_embedding_path text NOT NULL,
    duration_seconds      double precision NOT NULL,
    resolution            varchar(16) NOT NULL,
    num_steps             integer NOT NULL,
    enable_audio          boolean NOT NULL,
    enqueued_at           timestamptz NOT NULL,
    received_at           timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE assignments (
    request_id         uuid NOT NULL,
    epoch              bigint NOT NULL,
    worker_id          varchar(64) NOT NULL REFERENCES gpu_workers,
    user_id            varchar(128) NOT NULL,
    tier               varchar(16) NOT NULL,
    priority           integer NOT NULL,
    num_steps          integer NOT NULL,
    enqueued_at        timestamptz NOT NULL,
    assigned_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    preempt_ordered_at timestamptz,
    finished_at        timestamptz,
    outcome            varchar(16) CHECK (outcome IN ('DONE', 'REQUEUED', 'FENCED', 'FAILED', 'LOST')),
    duration_ms        bigint,
    PRIMARY KEY (request_id, epoch),
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
-- At most one open assignment for a worker and for a job.
CREATE UNIQUE INDEX assignments_open_worker ON assignments (worker_id) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX assignments_open_job ON assignments (request_id) WHERE finished_at IS NULL;
CREATE INDEX assignments_recent ON assignments (assigned_at);
"""


def upgrade() -> None:
    op.execute(SCHEMA)
