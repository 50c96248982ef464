"""Inbox: applies each message once, however often it is delivered."""

from __future__ import annotations

from services.common.postgres import Connection

DDL = """
CREATE TABLE inbox (
    consumer    text NOT NULL,
    message_id  text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, message_id)
);
"""
"""For the service's first migration."""

RECEIVED_LONG_AGO = "t.received_at < statement_timestamp() - make_interval(secs => $1)"
"""Condition of rows whose message the broker has forgotten by then, for `services.common.retention`."""


async def once(connection: Connection, consumer: str, message_id: str) -> bool:
    """Whether this is the first time `consumer` sees the message; notes it in the caller's transaction.

    Of two concurrent deliveries the second waits for the first transaction to end, and is told True if it rolled back.
    """
    status = await connection.execute(
        "INSERT INTO inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", consumer, message_id
    )
    return status == "INSERT 0 1"
