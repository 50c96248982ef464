"""Webhooks: a log of attempts, limits for each endpoint, addresses that are gone, secrets that rotate."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

# All may be left out: the version before goes on inserting while this one starts.
DELIVERIES = """
ALTER TABLE webhook_deliveries
    ADD COLUMN tries INTEGER NOT NULL DEFAULT 0,  -- attempts since the end of the job or the last replay
    ADD COLUMN held_until TIMESTAMPTZ,          -- an attempt is under way; if its sender dies, until then
    ADD COLUMN last_started_at TIMESTAMPTZ;
UPDATE webhook_deliveries SET tries = attempts;
CREATE INDEX idx_webhook_deliveries_held ON webhook_deliveries(held_until) WHERE held_until IS NOT NULL;
CREATE INDEX idx_webhook_deliveries_started ON webhook_deliveries(last_started_at);
CREATE INDEX idx_webhook_deliveries_ended ON webhook_deliveries(ended_at) WHERE ended_at IS NOT NULL;
"""

ATTEMPTS = """
CREATE TABLE webhook_attempts (
    delivery_id UUID NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    duration_ms INTEGER NOT NULL,
    result VARCHAR(64) NOT NULL,
    PRIMARY KEY (delivery_id, attempt)
);
"""

GONE = """
-- Addresses that answered 410: nothing is sent there until their user asks for a replay.
CREATE TABLE webhook_gone (
    user_id VARCHAR(64) NOT NULL,
    url_sha256 BYTEA NOT NULL,
    since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, url_sha256)
);
"""

SECRETS = """
-- Users who never rotated have none: theirs is derived from the master secret.
CREATE TABLE webhook_secrets (
    secret_id UUID PRIMARY KEY,
    user_id VARCHAR(64) NOT NULL,
    secret BYTEA NOT NULL,                      -- encrypted
    made_by UUID,                               -- idempotency key of the rotation that made it
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ                      -- null for the present one
);
CREATE UNIQUE INDEX one_present_webhook_secret ON webhook_secrets(user_id) WHERE expires_at IS NULL;
CREATE UNIQUE INDEX one_webhook_secret_for_each_rotation ON webhook_secrets(user_id, made_by);
"""


def upgrade() -> None:
    """Makes everything."""
    for script in (DELIVERIES, ATTEMPTS, GONE, SECRETS):
        op.execute(script)
