"""The worker's stream to the scheduler: a stream that ends never ends the worker."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.worker.session import SchedulerSession

_MODELS: Any = SimpleNamespace(names=["REFERENCE"])


@pytest.mark.parametrize("error", [asyncio.InvalidStateError(), TimeoutError(), ConnectionError()])
async def test_a_broken_stream_is_opened_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[str] = []
    state: Any = SimpleNamespace(available=True, changed=asyncio.Event())
    agent: Any = SimpleNamespace(drain=lambda: None, settle=_settled)
    worker = SchedulerSession(("a:1", "b:2"), agent, state, snapshot=_no_snapshot, models=_MODELS)

    async def connect(address: str) -> None:
        attempts.append(address)
        if len(attempts) == 3:
            worker.leave()
        raise error

    monkeypatch.setattr(worker, "_connect", connect)
    worker._backoff_s = 0.001
    await asyncio.wait_for(worker.run(), 5)
    assert attempts == ["a:1", "b:2", "a:1"]


async def test_a_worker_is_back_as_soon_as_triton_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it was away: waiting for it is no reason to hesitate."""
    attempts: list[str] = []
    state: Any = SimpleNamespace(available=False, changed=asyncio.Event())
    agent: Any = SimpleNamespace(drain=lambda: None, settle=_settled)
    worker = SchedulerSession(("a:1",), agent, state, snapshot=_no_snapshot, models=_MODELS)
    looked = 0

    async def sleep(seconds: float) -> None:
        nonlocal looked
        looked += 1
        assert seconds <= 0.2
        state.available = looked == 50

    async def connect(address: str) -> None:
        attempts.append(address)
        worker.leave()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(worker, "_connect", connect)
    await worker.run()
    assert (looked, attempts) == (50, ["a:1"])


async def _settled() -> None:
    pass


async def _no_snapshot() -> Any:
    raise AssertionError("not asked for here")
