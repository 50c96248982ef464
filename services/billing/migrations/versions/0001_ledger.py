"""Accounts, reservations and the double-entry ledger."""

from __future__ import annotations

from alembic import op

from services.common import inbox

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE accounts (
    user_id    varchar(128) PRIMARY KEY,
    available  numeric(14,4) NOT NULL DEFAULT 0 CHECK (available >= 0),
    held       numeric(14,4) NOT NULL DEFAULT 0 CHECK (held >= 0),
    spent      numeric(14,4) NOT NULL DEFAULT 0 CHECK (spent >= 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE reservations (
    request_id uuid PRIMARY KEY,
    user_id    varchar(128) NOT NULL REFERENCES accounts,
    amount     numeric(14,4) NOT NULL CHECK (amount > 0),
    captured   numeric(14,4) CHECK (captured >= 0),
    refunded   numeric(14,4) CHECK (refunded >= 0),
    state      varchar(16) NOT NULL DEFAULT 'HELD' CHECK (state IN ('HELD', 'SETTLED', 'RELEASED')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    CHECK ((state = 'HELD') = (ended_at IS NULL)),
    CHECK ((state = 'HELD' AND captured IS NULL AND refunded IS NULL)
        OR (state <> 'HELD' AND captured + refunded = amount))
);
CREATE INDEX reservations_to_check ON reservations (checked_at) WHERE state = 'HELD';

CREATE TABLE ledger_transactions (
    transaction_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind           varchar(16) NOT NULL CHECK (kind IN ('GRANT', 'RESERVE', 'CAPTURE', 'REFUND')),
    request_id     uuid REFERENCES reservations,
    grant_id       varchar(128) UNIQUE,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (request_id, kind),
    CHECK ((kind = 'GRANT') = (request_id IS NULL)),
    CHECK (kind = 'GRANT' OR grant_id IS NULL)
);

CREATE TABLE ledger_entries (
    entry_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL REFERENCES ledger_transactions,
    user_id        varchar(128) NOT NULL REFERENCES accounts,
    account        varchar(16) NOT NULL CHECK (account IN ('issued', 'available', 'held', 'revenue')),
    amount         numeric(14,4) NOT NULL CHECK (amount <> 0),
    UNIQUE (transaction_id, account)
);
CREATE INDEX ledger_entries_user ON ledger_entries (user_id, entry_id);

-- Deferred, because the legs come one by one: a transaction that does not balance cannot commit.
CREATE FUNCTION ledger_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    legs  integer;
    total numeric;
BEGIN
    SELECT count(*), coalesce(sum(amount), 0) INTO legs, total
    FROM ledger_entries WHERE transaction_id = NEW.transaction_id;
    IF legs < 2 OR total <> 0 THEN
        RAISE EXCEPTION 'ledger transaction % has % legs that sum to %', NEW.transaction_id, legs, total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transactions_balance AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_must_balance();
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_must_balance();

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE ON ledger_transactions
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
"""


def upgrade() -> None:
    op.execute(inbox.DDL)
    op.execute(SCHEMA)
