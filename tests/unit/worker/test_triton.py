"""How the worker's view of Triton reports what Triton does not do."""

from __future__ import annotations

from typing import Any

import pytest

from services.worker import triton
from services.worker.errors import ModelBrokenError
from services.worker.triton import TritonClient


class StuckTriton:
    """Accepts every order and keeps the model."""

    async def unload_model(self, model: str, **_: Any) -> None:
        pass

    async def is_model_ready(self, model: str, **_: Any) -> bool:
        return True


async def test_a_model_that_does_not_go_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "_CONTROL_TIMEOUT_S", 0.05)
    client: Any = StuckTriton()
    with pytest.raises(ModelBrokenError, match="dit is not unloaded"):
        await TritonClient(client, step_timeout_s=1, load_timeout_s=1).unload("dit")
