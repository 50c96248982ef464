"""Which models this worker offers: those whose provider it has a key for, as long as the provider takes work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.catalogue import ProviderModel
from services.worker.errors import GivenBackError, ModelFailedError, ProviderUnavailableError
from services.worker.metrics import PROVIDER_SUSPENSIONS
from services.worker.providers.protocol import Provider
from services.worker.state import LoadedModel, WorkerState

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 900.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A model and who makes its videos."""

    entry: ProviderModel
    provider: Provider


@dataclass
class _Pause:
    """How long a model is not offered."""

    until: float
    length_s: float


@dataclass
class Offers:
    """Shared by the slots of a process. A provider that fails is left alone for a while, each time for longer."""

    served: Mapping[str, Served]
    clock: Callable[[], float] = time.monotonic
    slots: list[WorkerState] = field(default_factory=list)
    """They learn when what is offered changes."""
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    _told: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """The models that are offered now."""
        return [name for name in sorted(self.served) if not self._paused(name)]

    def suspend(self, name: str, at_least_s: float | None = None) -> None:
        """Stops offering a model for a while: its provider takes no work. Several slots find out about one outage."""
        if self._paused(name):
            return
        before = self._pauses.get(name)
        length_s = min(2 * before.length_s, LONGEST_PAUSE_S) if before else FIRST_PAUSE_S
        length_s = max(length_s, at_least_s or 0.0)
        self._pauses[name] = _Pause(self.clock() + length_s, length_s)
        PROVIDER_SUSPENSIONS.labels(name).inc()
        logger.error("provider is left alone", extra={"model": name, "for_s": round(length_s)})

    def answered(self, name: str) -> None:
        """Notes that a model's provider works: the next pause will be short again."""
        if self._pauses.pop(name, None) is not None:
            logger.info("provider is back", extra={"model": name})

    async def look(self) -> None:
        """Has the slots show what is offered now, if that has changed."""
        if (names := self.names) != self._told:
            self._told = names
            for slot in self.slots:
                slot.changed.set()

    async def require_any(self) -> None:
        """Raises ConnectionError unless a model is offered."""
        if not self.names:
            raise ConnectionError

    def _paused(self, name: str) -> bool:
        pause = self._pauses.get(name)
        return pause is not None and self.clock() < pause.until


class ProviderModels:
    """One slot's models, for those who know models of Triton: here nothing is loaded, and nothing breaks."""

    def __init__(self, offers: Offers, state: WorkerState) -> None:
        self._offers = offers
        self._state = state
        offers.slots.append(state)

    @property
    def names(self) -> list[str]:
        """Models this worker offers."""
        return self._offers.names

    async def ensure(self, name: str) -> ProviderModel:
        """Returns a model's entry and shows it as the one at hand.

        Raises:
            ModelFailedError: this worker has no key for it.
            GivenBackError: its provider takes no work.
        """
        if name not in self._offers.served:
            raise ModelFailedError("INVALID_REQUEST", f"model {name} is not served by this worker")
        if name not in self.names:
            raise GivenBackError(job_service_pb2.REQUEUE_REASON_PROVIDER_UNAVAILABLE)
        self._state.models[:] = [LoadedModel(name, "", "", 0.0)]
        self._state.changed.set()
        return self._offers.served[name].entry

    async def recover(self, name: str, error: Exception) -> None:
        """Leaves a provider alone that takes no work: it repairs itself."""
        if isinstance(error, ProviderUnavailableError):
            self._offers.suspend(name, error.retry_after_s)
