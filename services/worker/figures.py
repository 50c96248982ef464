"""What a worker counts and measures about itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime


def utc_today() -> date:
    """Today's date in UTC."""
    return datetime.now(UTC).date()


@dataclass
class DayFigures:
    """Counts of the current UTC day; they start again at midnight."""

    today: Callable[[], date] = utc_today
    checkpoint_save_time_ms: int = 0
    """Of the last checkpoint; it outlives the day."""
    _day: date | None = None
    _completed: int = 0
    _total_ms: int = 0
    _errors: int = 0

    def completed(self, duration_ms: int) -> None:
        """Counts a job whose worker's part is done."""
        self._roll()
        self._completed += 1
        self._total_ms += duration_ms

    def failed(self) -> None:
        """Counts a job that ended in an error here."""
        self._roll()
        self._errors += 1

    @property
    def jobs_completed(self) -> int:
        """Jobs finished today."""
        self._roll()
        return self._completed

    @property
    def average_ms(self) -> int:
        """Mean time per job finished today, milliseconds; 0 before the first."""
        self._roll()
        return self._total_ms // self._completed if self._completed else 0

    @property
    def errors(self) -> int:
        """Jobs failed today."""
        self._roll()
        return self._errors

    def _roll(self) -> None:
        if self._day != (day := self.today()):
            self._day, self._completed, self._total_ms, self._errors = day, 0, 0, 0


@dataclass
class BusyMeter:
    """Time the models worked, as they measured it themselves."""

    window_s: float = 10.0
    """The share is over this long."""
    clock: Callable[[], float] = time.monotonic
    _recent: deque[tuple[float, float]] = field(default_factory=deque)
    _unbilled_ms: float = 0.0

    def add(self, busy_ms: float) -> None:
        """Counts work that has just ended."""
        self._recent.append((self.clock(), busy_ms))
        self._unbilled_ms += busy_ms

    def share(self) -> float:
        """Share of the window that was spent working, 0 to 1."""
        since = self.clock() - self.window_s
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        # Work that began before the window counts only as far as it lies inside.
        busy_s = sum(min(ms / 1000, ended - since) for ended, ms in self._recent)
        return min(1.0, busy_s / self.window_s)

    def take_ms(self) -> int:
        """Time since the last call, milliseconds, to be reported with a commit."""
        taken = round(self._unbilled_ms)
        self._unbilled_ms -= taken
        return taken

    def give_back_ms(self, taken: int) -> None:
        """Undoes `take_ms` after a commit that did not happen."""
        self._unbilled_ms += taken

    def reset(self) -> None:
        """Forgets what no commit will report any more: the job it was spent on is gone."""
        self._unbilled_ms = 0.0
