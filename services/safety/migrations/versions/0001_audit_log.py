"""The audit log of the low-level design."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # The design's foreign key to video_generations is left out: a prompt that is blocked before a job exists is
    # recorded, too, and the jobs are another service's.
    op.execute("""
        CREATE TABLE safety_audit_log (
            audit_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            request_id UUID NOT NULL,
            check_type VARCHAR(32) NOT NULL,  -- 'PRE_GEN', 'POST_GEN'

            -- Results
            passed BOOLEAN NOT NULL,
            safety_score NUMERIC(4,3),
            flagged_categories JSONB,

            -- Details
            model_version VARCHAR(64),
            processing_time_ms INTEGER,

            created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
        );

        CREATE INDEX idx_safety_audit_request ON safety_audit_log(request_id);
        CREATE INDEX idx_safety_audit_failed ON safety_audit_log(passed) WHERE passed = false;
    """)
