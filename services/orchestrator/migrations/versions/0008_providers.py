"""A provider may refuse a job it draws, and a job may move to another model; what providers charge is kept."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

COLUMNS = """
ALTER TABLE video_generations
    ADD COLUMN fallbacks JSONB NOT NULL DEFAULT '[]',
    ADD COLUMN requested_model VARCHAR(32),
    ADD COLUMN provider_cost_usd NUMERIC(12,4) CHECK (provider_cost_usd >= 0)
"""
EDGES = "INSERT INTO job_transitions VALUES ('QUEUED', 'PENDING', true), ('GENERATING', 'BLOCKED', true)"
# As of 0007, except that the model changes by a move alone, after which it is drawn from the start.
GUARD = """
CREATE OR REPLACE FUNCTION guard_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE raises boolean;
DECLARE cleaned video_generations;
DECLARE moves boolean := OLD.status = 'QUEUED' AND NEW.status = 'PENDING';
BEGIN
    IF NEW.status = OLD.status AND NEW.epoch = OLD.epoch THEN
        IF NEW.rev <> OLD.rev THEN RAISE EXCEPTION 'rev changes only with the state' USING ERRCODE = 'KM004'; END IF;
        IF is_terminal(OLD.status) THEN
            cleaned := OLD;
            cleaned.purged_at := NEW.purged_at;
            cleaned.artifacts := NEW.artifacts;
            cleaned.checkpoint_path := NEW.checkpoint_path;
            IF OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN
                cleaned.deleted_at := NEW.deleted_at;
                cleaned.text_prompt := '';
                cleaned.negative_prompt := NULL;
                cleaned.first_frame_image_url := NULL;
                cleaned.reference_video_url := NULL;
                cleaned.video_url := NULL;
                cleaned.thumbnail_url := NULL;
                cleaned.audio_url := NULL;
                cleaned.c2pa_manifest_url := NULL;
            END IF;
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
    IF moves <> (NEW.model <> OLD.model) THEN
        RAISE EXCEPTION 'a job changes its model by moving' USING ERRCODE = 'KM001';
    END IF;
    IF NOT moves AND (NEW.last_checkpoint_step < OLD.last_checkpoint_step OR NEW.current_step < OLD.current_step)
        OR NEW.percent < OLD.percent OR NEW.progress_seq < OLD.progress_seq
        OR NEW.cost_credits <> OLD.cost_credits OR NEW.attempts < OLD.attempts THEN
        RAISE EXCEPTION 'a job does not go backwards' USING ERRCODE = 'KM004';
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Adds all three."""
    for script in (COLUMNS, EDGES, GUARD):
        op.execute(script)
