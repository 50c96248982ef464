"""Whether Triton and its models really work: it reports a dead model as ready."""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn

from services.common.telemetry.metrics import BACKGROUND_ERRORS
from services.worker.agent import Agent
from services.worker.models import ModelPool
from services.worker.state import WorkerState

_RECOVERY_S = 1.0
"""Seconds between looks for a Triton that is gone."""

logger = logging.getLogger(__name__)


async def watch(pool: ModelPool, agent: Agent, state: WorkerState, interval_s: float) -> NoReturn:
    """Checks while the worker is idle; a running job finds out by itself what does not work."""
    while True:
        await asyncio.sleep(interval_s if state.available else _RECOVERY_S)
        if not agent.idle:
            continue
        try:
            await pool.check()
        except Exception:
            BACKGROUND_ERRORS.labels("health").inc()
            logger.exception("models not checked")
