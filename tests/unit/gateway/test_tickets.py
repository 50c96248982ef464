"""Tickets are good once, for a minute, for one video."""

from __future__ import annotations

import pytest

from gateway.edge import tickets as module
from gateway.edge.tickets import TTL_S, Grant, Tickets

GRANT = Grant("alice", "video-1", 1000.0)


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets(_Clock())
    first, second = tickets.issue(GRANT), tickets.issue(GRANT)
    assert tickets.redeem(first, "video-1") == GRANT
    assert tickets.redeem(first, "video-1") is None
    assert tickets.redeem(second, "video-1") == GRANT


def test_a_ticket_is_good_for_a_minute() -> None:
    clock = _Clock()
    tickets = Tickets(clock)
    young, old = tickets.issue(GRANT), tickets.issue(GRANT)
    clock.now_s = TTL_S - 1
    assert tickets.redeem(young, "video-1") == GRANT
    clock.now_s = TTL_S
    assert tickets.redeem(old, "video-1") is None


def test_a_ticket_is_good_for_one_video_and_spent_by_the_attempt() -> None:
    tickets = Tickets(_Clock())
    ticket = tickets.issue(GRANT)
    assert tickets.redeem(ticket, "video-2") is None
    assert tickets.redeem(ticket, "video-1") is None
    assert tickets.redeem("forged", "video-1") is None


def test_tickets_that_nobody_uses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TICKETS", 2)
    tickets = Tickets(_Clock())
    first, second, third = (tickets.issue(GRANT) for _ in range(3))
    assert tickets.redeem(first, "video-1") is None
    assert tickets.redeem(second, "video-1") == GRANT
    assert tickets.redeem(third, "video-1") == GRANT
