"""Deletes rows that nobody needs any more, a few at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import Counter

if TYPE_CHECKING:
    from services.common.postgres import Pool

PRUNED = Counter("kinemesh_rows_pruned_total", "Rows deleted because of their age.", ["table"])
_BATCH = 500
_BATCHES_IN_A_ROUND = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expiry:
    """Which rows of a table are too old."""

    table: str
    condition: str
    """SQL over the table, named `t`; `$1` is the age in seconds. Holds for no row that anybody may still need."""
    keep_s: float


class Pruner:
    """Several replicas may prune at once: rows that another deletes are skipped."""

    def __init__(self, pool: Pool, expiries: Sequence[Expiry]) -> None:
        self._pool = pool
        self._expiries = expiries

    async def run_once(self) -> None:
        """Deletes what is too old, at most so much that a round stays short."""
        for expiry in self._expiries:
            pruned = await self._prune(expiry)
            if pruned:
                PRUNED.labels(expiry.table).inc(pruned)
                logger.info("old rows deleted", extra={"table": expiry.table, "rows": pruned})

    async def _prune(self, expiry: Expiry) -> int:
        total = 0
        for _ in range(_BATCHES_IN_A_ROUND):
            status = await self._pool.execute(_delete(expiry), expiry.keep_s, _BATCH)
            pruned = int(status.removeprefix("DELETE "))
            total += pruned
            if pruned < _BATCH:
                break
        return total


def _delete(expiry: Expiry) -> str:
    return f"""
    DELETE FROM {expiry.table} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {expiry.table} t WHERE {expiry.condition} LIMIT $2 FOR UPDATE OF t SKIP LOCKED))
    """  # noqa: S608 - constants of our code
