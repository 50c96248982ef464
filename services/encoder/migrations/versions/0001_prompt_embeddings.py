"""The cache of prompt embeddings."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # The prompt itself is not kept: its hash is enough to find it again.
    op.execute("""
        CREATE TABLE prompt_embeddings (
            content_hash     char(64) PRIMARY KEY,  -- of model, encoder revision, prompt and negative prompt
            model            varchar(32) NOT NULL,
            encoder_revision varchar(64) NOT NULL,
            uri              text NOT NULL,
            sha256           char(64) NOT NULL,
            token_count      integer NOT NULL CHECK (token_count > 0),
            dim              integer NOT NULL CHECK (dim > 0),
            created_at       timestamptz NOT NULL DEFAULT now()
        );
    """)
