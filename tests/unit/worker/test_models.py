"""Which models are in memory, on a Triton that only remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinemesh.scheduler.v1 import worker_pb2
from services.common.catalogue import Catalogue
from services.worker.errors import ModelBrokenError, ModelFailedError
from services.worker.models import ModelPool, evictions
from services.worker.state import LoadedModel, WorkerState
from services.worker.triton import TritonClient


class MemoryTriton(TritonClient):
    """Loads and unloads in memory; `broken` models fail their probe until they are reloaded."""

    def __init__(self, state: WorkerState) -> None:
        self.state = state
        self.live = True
        self.loaded: list[str] = []
        self.broken: set[str] = set()
        self.unloaded: list[str] = []
        self.status_while_loading = worker_pb2.WORKER_STATUS_UNSPECIFIED

    async def is_live(self) -> bool:
        return self.live

    async def load(self, model: str) -> None:
        self.status_while_loading = self.state.status
        await self.probe(model)
        self.loaded.append(model)

    async def unload(self, model: str) -> None:
        self.broken.discard(model)
        self.unloaded.append(model)
        if model in self.loaded:
            self.loaded.remove(model)

    async def probe(self, model: str) -> None:
        if model in self.broken:
            raise ModelBrokenError(model)


def catalogue(**memory_gb: float) -> Catalogue:
    def entry(name: str) -> dict[str, object]:
        return {
            "backend": "triton",
            "dit": f"{name}-dit",
            "video_vae": f"{name}-vae",
            "audio": f"{name}-audio",
            "weights": Path(),
            "memory_gb": memory_gb[name],
            "price_multiplier": 1,
            "native": {"sizes": {"16:9": [64, 32]}, "fps": 12, "max_duration_s": 60},
            "tiers": {"STANDARD": {"steps": 4, "guidance_scale": 1, "step_ms": 1, "fixed_s": 0, "deadline_s": 60}},
        }

    models = {name: entry(name) for name in memory_gb}
    return Catalogue.model_validate({"default_model": next(iter(models)), "models": models})


def pool_of(capacity_gb: float, **memory_gb: float) -> tuple[ModelPool, MemoryTriton, WorkerState]:
    state = WorkerState()
    triton = MemoryTriton(state)
    return ModelPool(triton, catalogue(**memory_gb), state, capacity_gb), triton, state


@pytest.mark.parametrize(
    ("wanted_gb", "leaving"),
    [(4, []), (5, ["a"]), (6, ["a"]), (7, ["a", "b"]), (10, ["a", "b", "c"]), (99, ["a", "b", "c"])],
)
def test_the_least_recently_used_leave_until_the_new_one_fits(wanted_gb: float, leaving: list[str]) -> None:
    loaded = [LoadedModel(name, "", "", size) for name, size in (("a", 2), ("b", 3), ("c", 1))]
    assert [model.name for model in evictions(loaded, wanted_gb, 10)] == leaving


async def test_loading_shows_and_leaves_the_worker_ready() -> None:
    pool, triton, state = pool_of(10, REFERENCE=1)
    assert state.status == worker_pb2.WORKER_STATUS_IDLE
    await pool.ensure("REFERENCE")
    assert triton.status_while_loading == worker_pb2.WORKER_STATUS_LOADING_MODEL
    assert state.status == worker_pb2.WORKER_STATUS_READY
    assert sorted(triton.loaded) == ["REFERENCE-audio", "REFERENCE-dit", "REFERENCE-vae"]
    await pool.ensure("REFERENCE")
    assert len(triton.loaded) == 3


async def test_use_and_not_loading_decides_who_is_evicted() -> None:
    pool, triton, state = pool_of(10, REFERENCE=4, MOCHI1=4, LTX2=4)
    for name in ("REFERENCE", "MOCHI1", "REFERENCE", "LTX2"):
        await pool.ensure(name)
    assert [model.name for model in state.models] == ["REFERENCE", "LTX2"]
    assert triton.unloaded == ["MOCHI1-dit", "MOCHI1-vae", "MOCHI1-audio"]


async def test_an_unknown_model_is_refused() -> None:
    pool, _, _ = pool_of(10, REFERENCE=1)
    with pytest.raises(ModelFailedError) as refused:
        await pool.ensure("SORA")
    assert not refused.value.retriable


async def test_a_model_whose_process_died_before_is_replaced_when_it_is_loaded() -> None:
    pool, triton, state = pool_of(10, REFERENCE=1)
    triton.broken.add("REFERENCE-vae")
    await pool.ensure("REFERENCE")
    assert triton.unloaded == ["REFERENCE-vae"]
    assert len(state.models) == 1


async def test_a_check_repairs_only_what_is_broken() -> None:
    pool, triton, state = pool_of(10, REFERENCE=1)
    await pool.ensure("REFERENCE")
    triton.broken.add("REFERENCE-audio")
    await pool.check()
    assert triton.unloaded == ["REFERENCE-audio"]
    assert state.available
    assert len(state.models) == 1


async def test_a_triton_that_ends_takes_the_worker_off_until_it_is_back() -> None:
    pool, triton, state = pool_of(10, REFERENCE=1)
    await pool.ensure("REFERENCE")
    triton.live = False
    await pool.check()
    assert (state.available, state.models) == (False, [])
    triton.live = True
    await pool.check()
    assert state.available
    assert state.status == worker_pb2.WORKER_STATUS_IDLE
