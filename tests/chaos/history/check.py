"""The one checker: every invariant of the state machine, from a history alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tests.chaos.history import lives, money, users, viewers
from tests.chaos.history.model import History

Check: TypeAlias = Callable[[History], Iterator[str]]

INVARIANTS: Mapping[str, tuple[Check, ...]] = {
    "I1": (lives.every_accepted_id_ends_in_time,),
    "I2": (lives.exactly_one_terminal_event,),
    "I3": (lives.only_legal_edges, lives.nothing_falls),
    "I4": (money.every_credit_is_accounted_for,),
    "I5": (money.only_what_is_due_is_captured, money.clients_are_told_what_they_get_back),
    "I6": (lives.nothing_under_a_stale_epoch, lives.no_epoch_is_given_twice),
    "I7": (viewers.the_same_request_gives_the_same_clip,),
    "I8": (viewers.the_end_is_told,),
    "I9": (viewers.webhooks_arrive,),
    "I10": (users.equal_requests_make_one_job,),
    "I11": (users.users_do_not_see_each_other,),
    "I12": (users.nothing_leaks_or_breaks,),
}


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


def violations(history: History) -> list[Violation]:
    """Everything that is wrong with a history."""
    return [Violation(name, what) for name, checks in INVARIANTS.items() for check in checks for what in check(history)]
