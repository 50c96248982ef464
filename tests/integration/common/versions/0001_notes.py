"""A table, an index and a function whose body has semicolons and colons."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE notes (id bigint PRIMARY KEY, body jsonb NOT NULL DEFAULT '{"a": 1}'::jsonb, price numeric(12, 2));
    CREATE INDEX notes_body ON notes (body);
    CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN
        n := n * 2;
        RETURN n;
    END $$;
    """)
