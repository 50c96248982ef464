"""Jobs, their checkpoints, their history, and what accepting and announcing them needs."""

from __future__ import annotations

from alembic import op

from services.common import outbox

revision = "0001"
down_revision = None

JOBS = """
CREATE TABLE video_generations (
    request_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id VARCHAR(64) NOT NULL,
    status VARCHAR(32) NOT NULL DEFAULT 'PENDING',
    tier VARCHAR(16) NOT NULL,
    priority INTEGER NOT NULL DEFAULT 100,

    -- Prompt configuration
    text_prompt TEXT NOT NULL,
    negative_prompt TEXT,
    first_frame_image_url TEXT,
    reference_video_url TEXT,
    style_preset VARCHAR(64),

    -- Generation configuration
    model VARCHAR(32) NOT NULL,
    duration_seconds NUMERIC(5,2) NOT NULL,
    fps INTEGER NOT NULL DEFAULT 24,
    resolution VARCHAR(16) NOT NULL,
    aspect_ratio VARCHAR(8) NOT NULL DEFAULT '16:9',
    num_inference_steps INTEGER NOT NULL DEFAULT 50,
    guidance_scale NUMERIC(4,2) NOT NULL DEFAULT 7.5,
    seed BIGINT,
    enable_audio BOOLEAN NOT NULL DEFAULT false,
    audio_config JSONB NOT NULL DEFAULT '{}',

    -- Progress tracking: none of it ever falls
    current_step INTEGER DEFAULT 0,
    total_steps INTEGER,
    current_phase VARCHAR(32),
    percent INTEGER NOT NULL DEFAULT 0 CHECK (percent BETWEEN 0 AND 100),
    progress_seq BIGINT NOT NULL DEFAULT 0,     -- orders the reports between two revisions
    last_checkpoint_step INTEGER NOT NULL DEFAULT 0,
    checkpoint_path TEXT,
    step_time_ms DOUBLE PRECISION,              -- moving average, as measured
    gpu_utilization DOUBLE PRECISION,           -- share, as last measured
    planned_step_ms DOUBLE PRECISION NOT NULL,  -- what the estimate at accept assumed
    planned_fixed_s DOUBLE PRECISION NOT NULL,

    -- Output; locations are s3://
    video_url TEXT,
    thumbnail_url TEXT,
    audio_url TEXT,
    c2pa_manifest_url TEXT,
    video_size_bytes BIGINT,
    generation_time_ms INTEGER,
    gpu_time_ms BIGINT NOT NULL DEFAULT 0,
    video_sha256 CHAR(64),
    video_width INTEGER,
    video_height INTEGER,
    video_duration_seconds DOUBLE PRECISION,
    native_width INTEGER,
    native_height INTEGER,
    native_fps DOUBLE PRECISION,

    -- Safety
    pre_gen_safety_score NUMERIC(4,3),
    post_gen_safety_score NUMERIC(4,3),
    blocked_reason TEXT,

    -- Billing: the price is fixed at accept; credits_used is the captured part of it
    credits_used NUMERIC(10,4) CHECK (credits_used >= 0),
    credits_refunded NUMERIC(10,4) CHECK (credits_refunded >= 0),
    cost_credits NUMERIC(10,4) NOT NULL CHECK (cost_credits >= 0),
    tier_multiplier NUMERIC(8,4) NOT NULL,
    video_seconds NUMERIC(8,2) NOT NULL,

    -- Ownership: who may change the job, and until when, by this database's clock
    rev BIGINT NOT NULL DEFAULT 1,
    epoch BIGINT NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    stalled_attempts INTEGER NOT NULL DEFAULT 0,
    lease_owner VARCHAR(128),
    lease_expires_at TIMESTAMPTZ,
    available_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    deadline TIMESTAMPTZ NOT NULL,
    artifacts JSONB NOT NULL DEFAULT '{}',
    cause VARCHAR(200) NOT NULL DEFAULT 'accept',
    last_event_id UUID NOT NULL DEFAULT gen_random_uuid(),

    -- Outcome
    error_code VARCHAR(64),
    error_message TEXT,
    webhook_url TEXT,
    webhook_secret BYTEA,                       -- encrypted

    -- Timestamps
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW(),
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    announced_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),  -- when a queue message was last published
    purged_at TIMESTAMPTZ,                      -- when the objects of a job without a result were deleted

    CONSTRAINT valid_status CHECK (status IN (
        'PENDING', 'ENCODING', 'QUEUED', 'ASSIGNED', 'GENERATING',
        'VAE_DECODING', 'AUDIO_GENERATING', 'SAFETY_CHECKING',
        'TRANSCODING', 'UPLOADING', 'COMPLETED', 'FAILED', 'CANCELLED', 'BLOCKED'
    )),
    CONSTRAINT lease_is_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT ended_exactly_when_terminal CHECK (
        (completed_at IS NOT NULL) = (status IN ('COMPLETED', 'FAILED', 'CANCELLED', 'BLOCKED'))
    ),
    CONSTRAINT settled_exactly_when_terminal CHECK (
        CASE WHEN completed_at IS NULL THEN credits_used IS NULL AND credits_refunded IS NULL
             ELSE credits_used + credits_refunded = cost_credits END
    )
);

CREATE INDEX idx_video_generations_user_id ON video_generations(user_id);
CREATE INDEX idx_video_generations_status ON video_generations(status);
CREATE INDEX idx_video_generations_created_at ON video_generations(created_at DESC);
CREATE INDEX idx_video_generations_user_status ON video_generations(user_id, status);
CREATE INDEX idx_video_generations_user_created ON video_generations(user_id, created_at DESC, request_id DESC);
CREATE INDEX idx_video_generations_leases ON video_generations(lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX idx_video_generations_deadlines ON video_generations(deadline) WHERE completed_at IS NULL;
CREATE INDEX idx_video_generations_purge ON video_generations(completed_at)
    WHERE status IN ('FAILED', 'CANCELLED', 'BLOCKED') AND purged_at IS NULL;
CREATE INDEX idx_video_generations_measured ON video_generations(model, tier, completed_at DESC)
    WHERE status = 'COMPLETED';
"""

CHECKPOINTS = """
CREATE TABLE video_checkpoints (
    checkpoint_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id UUID NOT NULL REFERENCES video_generations(request_id),
    worker_id VARCHAR(64) NOT NULL,
    step_number INTEGER NOT NULL,
    total_steps INTEGER NOT NULL,

    -- Storage paths
    latent_local_path TEXT NOT NULL,
    latent_remote_path TEXT,
    synced_to_remote BOOLEAN DEFAULT false,

    -- State
    latent_shape JSONB NOT NULL,
    latent_dtype VARCHAR(32) NOT NULL,
    rng_state_path TEXT,                        -- the states themselves are below: they are a few kilobytes
    rng_state_cpu BYTEA NOT NULL DEFAULT '',
    rng_state_cuda BYTEA NOT NULL DEFAULT '',
    audio_state BYTEA NOT NULL DEFAULT '',
    scheduler_state JSONB,
    sha256 CHAR(64) NOT NULL,
    model_revision TEXT NOT NULL DEFAULT '',

    -- Metadata
    epoch BIGINT NOT NULL,
    size_bytes BIGINT,
    save_time_ms BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),

    CONSTRAINT unique_request_step UNIQUE (request_id, step_number)
);

CREATE INDEX idx_checkpoints_request_id ON video_checkpoints(request_id);
CREATE INDEX idx_checkpoints_created_at ON video_checkpoints(created_at);
"""

HISTORY = """
-- Every change of state, in order; what is published about it lies in the outbox.
CREATE TABLE job_events (
    event_id UUID PRIMARY KEY,
    request_id UUID NOT NULL REFERENCES video_generations(request_id),
    rev BIGINT NOT NULL,
    previous_status VARCHAR(32),
    status VARCHAR(32) NOT NULL,
    epoch BIGINT NOT NULL,
    cause VARCHAR(200) NOT NULL,                -- the call that made it; a repeated call is recognised by it
    occurred_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT one_event_per_rev UNIQUE (request_id, rev)
);
CREATE UNIQUE INDEX one_terminal_event ON job_events(request_id)
    WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED', 'BLOCKED');
CREATE INDEX idx_job_events_cause ON job_events(request_id, cause);

CREATE TABLE job_transitions (
    from_status VARCHAR(32) NOT NULL,
    to_status VARCHAR(32) NOT NULL,
    raises_epoch BOOLEAN NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO job_transitions VALUES
    ('PENDING', 'ENCODING', true), ('ENCODING', 'ENCODING', true), ('ENCODING', 'QUEUED', false),
    ('QUEUED', 'ASSIGNED', true),
    ('ASSIGNED', 'GENERATING', false), ('ASSIGNED', 'VAE_DECODING', false), ('ASSIGNED', 'AUDIO_GENERATING', false),
    ('GENERATING', 'VAE_DECODING', false),
    ('VAE_DECODING', 'AUDIO_GENERATING', false), ('VAE_DECODING', 'SAFETY_CHECKING', false),
    ('AUDIO_GENERATING', 'SAFETY_CHECKING', false),
    ('ASSIGNED', 'QUEUED', true), ('GENERATING', 'QUEUED', true), ('VAE_DECODING', 'QUEUED', true),
    ('AUDIO_GENERATING', 'QUEUED', true),
    ('SAFETY_CHECKING', 'SAFETY_CHECKING', true), ('SAFETY_CHECKING', 'TRANSCODING', false),
    ('TRANSCODING', 'TRANSCODING', true), ('TRANSCODING', 'UPLOADING', false),
    ('UPLOADING', 'UPLOADING', true), ('UPLOADING', 'COMPLETED', true),
    ('PENDING', 'BLOCKED', true), ('ENCODING', 'BLOCKED', true), ('SAFETY_CHECKING', 'BLOCKED', true);
INSERT INTO job_transitions
    SELECT from_status, to_status, true
    FROM unnest(ARRAY['PENDING', 'ENCODING', 'QUEUED', 'ASSIGNED', 'GENERATING', 'VAE_DECODING', 'AUDIO_GENERATING',
                      'SAFETY_CHECKING', 'TRANSCODING', 'UPLOADING']) AS from_status,
         unnest(ARRAY['FAILED', 'CANCELLED']) AS to_status;
"""

GUARD = """
CREATE FUNCTION is_terminal(status text) RETURNS boolean IMMUTABLE LANGUAGE sql AS
$$ SELECT status IN ('COMPLETED', 'FAILED', 'CANCELLED', 'BLOCKED') $$;

-- Whatever the services' code does: only legal edges, the epoch rule, nothing after the end, nothing backwards.
CREATE FUNCTION guard_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE raises boolean;
DECLARE cleaned video_generations;
BEGIN
    IF NEW.status = OLD.status AND NEW.epoch = OLD.epoch THEN
        IF NEW.rev <> OLD.rev THEN RAISE EXCEPTION 'rev changes only with the state' USING ERRCODE = 'KM004'; END IF;
        IF is_terminal(OLD.status) THEN
            cleaned := OLD;
            cleaned.purged_at := NEW.purged_at;
            cleaned.artifacts := NEW.artifacts;
            cleaned.checkpoint_path := NEW.checkpoint_path;
            IF cleaned IS DISTINCT FROM NEW THEN
                RAISE EXCEPTION 'a job that has ended does not change' USING ERRCODE = 'KM003';
            END IF;
            RETURN NEW;
        END IF;
    ELSE
        SELECT t.raises_epoch INTO raises FROM job_transitions t
            WHERE t.from_status = OLD.status AND t.to_status = NEW.status;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'illegal transition % to %', OLD.status, NEW.status USING ERRCODE = 'KM001';
        END IF;
        IF NEW.epoch <> OLD.epoch + raises::int THEN
            RAISE EXCEPTION 'epoch % after % to %', NEW.epoch, OLD.status, NEW.status USING ERRCODE = 'KM002';
        END IF;
        NEW.rev := OLD.rev + 1;
        NEW.last_event_id := gen_random_uuid();
    END IF;
    IF NEW.last_checkpoint_step < OLD.last_checkpoint_step OR NEW.current_step < OLD.current_step
        OR NEW.percent < OLD.percent OR NEW.progress_seq < OLD.progress_seq
        OR NEW.cost_credits <> OLD.cost_credits OR NEW.attempts < OLD.attempts THEN
        RAISE EXCEPTION 'a job does not go backwards' USING ERRCODE = 'KM004';
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION record_job_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_events (event_id, request_id, rev, previous_status, status, epoch, cause)
    VALUES (NEW.last_event_id, NEW.request_id, NEW.rev,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.epoch, NEW.cause);
    RETURN NULL;
END $$;

CREATE TRIGGER guard_job BEFORE UPDATE ON video_generations FOR EACH ROW EXECUTE FUNCTION guard_job();
CREATE TRIGGER record_new_job AFTER INSERT ON video_generations FOR EACH ROW EXECUTE FUNCTION record_job_event();
CREATE TRIGGER record_job_change AFTER UPDATE ON video_generations FOR EACH ROW
    WHEN (NEW.rev <> OLD.rev) EXECUTE FUNCTION record_job_event();
"""

ACCEPTING = """
-- Written before anything else happens for a request; `request_id` is the job it becomes.
CREATE TABLE idempotency_keys (
    user_id VARCHAR(64) NOT NULL,
    key UUID NOT NULL,
    fingerprint BYTEA NOT NULL,
    request_id UUID NOT NULL UNIQUE,
    state VARCHAR(16) NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'ABANDONED', 'DONE')),
    holder UUID NOT NULL,                       -- the call that is accepting; another may take over after held_until
    held_until TIMESTAMPTZ NOT NULL,
    quote JSONB,                                -- fixed before credits are held, so that a retry holds the same
    response JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idx_idempotency_keys_unfinished ON idempotency_keys(held_until) WHERE state <> 'DONE';
CREATE INDEX idx_idempotency_keys_expiry ON idempotency_keys(expires_at);
"""

WEBHOOKS = """
CREATE TABLE webhook_deliveries (
    delivery_id UUID PRIMARY KEY,               -- the terminal event's id; stable over all attempts
    request_id UUID NOT NULL UNIQUE REFERENCES video_generations(request_id),
    event VARCHAR(32) NOT NULL,
    state VARCHAR(16) NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'DELIVERED', 'GIVEN_UP')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    last_result VARCHAR(64),
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ended_at TIMESTAMPTZ
);
CREATE INDEX idx_webhook_deliveries_due ON webhook_deliveries(next_attempt_at) WHERE state = 'PENDING';
"""


def upgrade() -> None:
    """Makes everything."""
    for script in (JOBS, CHECKPOINTS, HISTORY, GUARD, ACCEPTING, WEBHOOKS, outbox.DDL):
        op.execute(script)
