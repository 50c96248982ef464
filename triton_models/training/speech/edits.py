"""How far two sequences are apart."""

from __future__ import annotations

from collections.abc import Sequence


def distance(wanted: Sequence[str], given: Sequence[str]) -> int:
    """Insertions, deletions and replacements that make one of the other (Levenshtein)."""
    row = list(range(len(given) + 1))
    for place, want in enumerate(wanted, 1):
        before, row[0] = row[0], place
        for column, have in enumerate(given, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (want != have))
    return row[-1]
