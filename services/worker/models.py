"""The models in Triton's memory: loaded on order, the least recently used evicted, the broken repaired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from kinemesh.scheduler.v1 import worker_pb2
from services.common.catalogue import Catalogue, ModelEntry, TritonModel
from services.worker.errors import ModelBrokenError, ModelFailedError, TritonUnavailableError
from services.worker.metrics import MODEL_LOADS, MODEL_REPAIRS
from services.worker.state import LoadedModel, WorkerState
from services.worker.triton import TritonClient

logger = logging.getLogger(__name__)


def evictions(loaded: Sequence[LoadedModel], wanted_gb: float, capacity_gb: float) -> list[LoadedModel]:
    """Returns which models must go so that `wanted_gb` fit; `loaded` is in order of use, least recent first.

    All of them, where even that is not enough: whether a model then fits is for Triton to find out.
    """
    used_gb = sum(model.memory_gb for model in loaded)
    leaving: list[LoadedModel] = []
    for model in loaded:
        if used_gb + wanted_gb <= capacity_gb:
            break
        leaving.append(model)
        used_gb -= model.memory_gb
    return leaving


class Models(Protocol):
    """What a worker can draw with."""

    @property
    def names(self) -> list[str]:
        """Models that are offered to the scheduler now."""

    async def ensure(self, name: str) -> ModelEntry:
        """Returns a model once it can be used; raises what `services.worker.errors` has."""

    async def recover(self, name: str, error: Exception) -> None:
        """Makes a model work again, before the next job comes, after a job failed with an error."""


class ModelPool:
    """Decides what Triton has loaded; nobody else loads or unloads."""

    def __init__(self, triton: TritonClient, catalogue: Catalogue, state: WorkerState, capacity_gb: float) -> None:
        self._triton = triton
        self._entries = catalogue.triton_models
        self._state = state
        self._capacity_gb = capacity_gb
        self._lock = asyncio.Lock()

    @property
    def names(self) -> list[str]:
        """Models this worker can load."""
        return sorted(self._entries)

    async def ensure(self, name: str) -> TritonModel:
        """Returns a model once it is loaded, loading it where needed.

        Raises:
            ModelFailedError: the catalogue does not have it.
            ModelBrokenError: it cannot be loaded.
            TritonUnavailableError: Triton does not answer.
        """
        if name not in self._entries:
            raise ModelFailedError("INVALID_REQUEST", f"model {name} is not in this worker's catalogue")
        entry = self._entries[name]
        async with self._lock:
            loaded = next((model for model in self._state.models if model.name == name), None)
            if loaded is None:
                await self._load(name, entry)
            else:
                self._state.models.remove(loaded)
                self._state.models.append(loaded)
        return entry

    async def recover(self, name: str, error: Exception) -> None:
        """Repairs what an error says is broken, or sees to it that no job comes; see Models."""
        if isinstance(error, TritonUnavailableError):
            self.forget()
        elif isinstance(error, ModelBrokenError):
            try:
                await self.repair(name)
            except (ModelBrokenError, TritonUnavailableError) as still:
                logger.warning("model is not repairable", extra={"model": name, "cause": str(still)})
                self.forget()

    async def repair(self, name: str) -> None:
        """Replaces the processes of a model that do not answer; raises as `ensure`."""
        entry = self._entries[name]
        async with self._lock:
            for triton_model in entry.parts:
                try:
                    await self._triton.probe(triton_model)
                except ModelBrokenError:
                    logger.warning("model is reloaded", extra={"model": triton_model})
                    MODEL_REPAIRS.labels(triton_model).inc()
                    await self._triton.reload(triton_model)

    async def check(self) -> None:
        """Proves that Triton and every loaded model work, repairs what does not, and notes whether all is well.

        What cannot be repaired counts as not loaded, so that the next job that needs it tries again.
        """
        if not await self._triton.is_live():
            self.forget()
            return
        for name in [model.name for model in self._state.models]:
            try:
                await self.repair(name)
            except (ModelBrokenError, TritonUnavailableError) as error:
                logger.warning("model is not repairable", extra={"model": name, "cause": str(error)})
                self.forget()
                return
        if not self._state.available:
            logger.info("triton is back")
            self._state.set_available(True)

    def forget(self) -> None:
        """Notes that Triton or a model of it is gone: nothing that was loaded counts any more."""
        if self._state.available:
            logger.error("triton is gone, and its models with it")
        self._state.models.clear()
        self._state.set_available(False)

    async def _load(self, name: str, entry: TritonModel) -> None:
        self._state.enter(worker_pb2.WORKER_STATUS_LOADING_MODEL)
        try:
            with MODEL_LOADS.time():
                await self._make_room_and_load(name, entry)
        finally:
            self._state.enter(None)

    async def _make_room_and_load(self, name: str, entry: TritonModel) -> None:
        for old in evictions(self._state.models, entry.memory_gb, self._capacity_gb):
            await self._unload(old.name)
        outcomes = await asyncio.gather(*map(self._bring_up, entry.parts), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._state.models.append(LoadedModel(name, entry.video_vae, entry.audio or "", entry.memory_gb))
        logger.info("model loaded", extra={"model": name})

    async def _bring_up(self, part: str) -> None:
        try:
            await self._triton.load(part)
        except ModelBrokenError as error:
            # Its process may have died under an earlier worker: it still counts as loaded, and loading does nothing.
            logger.warning("model did not load and is unloaded first", extra={"model": part, "cause": str(error)})
            await self._triton.reload(part)

    async def _unload(self, name: str) -> None:
        logger.info("model evicted", extra={"model": name})
        for part in self._entries[name].parts:
            await self._triton.unload(part)
        self._drop(name)

    def _drop(self, name: str) -> None:
        self._state.models[:] = [model for model in self._state.models if model.name != name]
        self._state.changed.set()
