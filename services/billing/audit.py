"""Audits the books, for the RPC and for the metrics."""

from __future__ import annotations

import logging

from prometheus_client import Gauge

from services.billing import store
from services.billing.domain import Audit
from services.common.postgres import Pool

IMBALANCE = Gauge("kinemesh_billing_ledger_imbalance_credits", "Sum over all ledger entries; 0 when the books balance.")
INCONSISTENT_ACCOUNTS = Gauge(
    "kinemesh_billing_inconsistent_accounts", "Accounts whose balances are not the sums of their entries."
)
UNBALANCED_JOBS = Gauge("kinemesh_billing_unbalanced_jobs", "Holds that are not captured + refunded + still held.")
HELD = Gauge("kinemesh_billing_held_credits", "Credits held by unfinished jobs.")

logger = logging.getLogger(__name__)


class Auditor:
    """Recomputes balances from entries."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def audit(self) -> Audit:
        """Audits now and updates the metrics."""
        audit = await store.audit(self._pool)
        IMBALANCE.set(float(audit.imbalance))
        INCONSISTENT_ACCOUNTS.set(audit.inconsistent_accounts)
        UNBALANCED_JOBS.set(audit.unbalanced_jobs)
        HELD.set(float(audit.held))
        if audit.imbalance or audit.inconsistent_accounts or audit.unbalanced_jobs:
            logger.error(
                "the books do not balance",
                extra={
                    "imbalance": str(audit.imbalance),
                    "inconsistent_accounts": audit.inconsistent_accounts,
                    "unbalanced_jobs": audit.unbalanced_jobs,
                },
            )
        return audit
