"""Shares with their intervals, and a table of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_Z = 1.96


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    good: int
    asked: int

    @classmethod
    def of(cls, verdicts: Iterable[bool | None]) -> Share:
        """Counts verdicts; None does not count."""
        counted = [verdict for verdict in verdicts if verdict is not None]
        return cls(sum(counted), len(counted))

    @property
    def value(self) -> float:
        """0 to 1; NaN of nothing."""
        return self.good / self.asked if self.asked else math.nan

    def interval(self) -> tuple[float, float]:
        """Returns Wilson's 95 % interval."""
        if not self.asked:
            return 0.0, 1.0
        n, share = self.asked, self.value
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        reach = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.2f} [{low:.2f} {high:.2f}]" if self.asked else "-"


@dataclass(frozen=True)
class Goal:
    """What a figure should be: at least, or at most, `value`."""

    value: float
    most: bool = False

    def missed_by(self, figure: float) -> float:
        """Returns how far the figure is off; 0 if it is not."""
        return max(0.0, figure - self.value if self.most else self.value - figure)

    def __str__(self) -> str:
        return f"{'<=' if self.most else '>='} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One measure of every column; None where it was not taken."""

    name: str
    cells: tuple[Share | float | None, ...]
    goal: Goal | None = None


def figure_of(cell: Share | float | None) -> float | None:
    """Returns the number in a cell."""
    return cell.value if isinstance(cell, Share) else cell


def _shown(cell: Share | float | None) -> str:
    return "-" if cell is None else str(cell) if isinstance(cell, Share) else f"{cell:.3g}"


def table(columns: tuple[str, ...], rows: list[Row]) -> str:
    """Returns a Markdown table, the goal last."""
    lines = [f"| | {' | '.join(columns)} | goal |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        goal = "" if row.goal is None else str(row.goal)
        lines.append(f"| {row.name} | {' | '.join(map(_shown, row.cells))} | {goal} |")
    return "\n".join(lines)


def misses(columns: tuple[str, ...], rows: list[Row], measured: tuple[str, ...]) -> list[str]:
    """Returns one line for each goal that a column of `measured` misses, and by how much."""
    lines = []
    for row in rows:
        for column, cell in zip(columns, row.cells, strict=True):
            figure = figure_of(cell)
            if row.goal is None or figure is None or math.isnan(figure) or column not in measured:
                continue
            if missed := row.goal.missed_by(figure):
                lines.append(f"{column}: {row.name} is {figure:.3g}, {missed:.2g} from {row.goal}")
    return lines


def line(name: str, value: float, goal: float | None) -> str:
    """Returns one figure with its goal, and by how much that is missed.

    What ends in " ms" or " s" should be at most the goal, all else at least.
    """
    shown = f"{name:58} {value:8.3f}"
    if goal is None:
        return shown
    wanted = Goal(goal, most=name.endswith((" ms", " s")))
    missed = wanted.missed_by(value)
    return f"{shown}   goal {wanted}, " + (f"missed by {missed:.2g}" if missed else "met")
