"""Runway: text_to_video or image_to_video, then tasks. It reports progress and its charge, and takes cancellations."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from services.worker.providers.http import Api, Json
from services.worker.providers.protocol import (
    ContentRefusedError,
    LostAnswerError,
    OperationFailedError,
    Order,
    Poll,
    RejectedError,
)

VERSION = {"X-Runway-Version": "2024-11-06"}
_SEEDS = 2**32
_REFUSALS = ("SAFETY.", "INPUT_PREPROCESSING.SAFETY")
_GOING_ON = {"PENDING", "THROTTLED", "RUNNING"}


class Runway:
    """One organisation's account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def submit(self, order: Order) -> str:
        """Creates a task; see Provider."""
        body: Json = {
            "model": order.model,
            "promptText": order.prompt,
            "ratio": f"{order.width}:{order.height}",
            "duration": round(order.length_s),
            "seed": order.seed % _SEEDS,
        }
        path = "/v1/text_to_video"
        if order.first_frame is not None:
            encoded = base64.b64encode(order.first_frame).decode()
            body["promptImage"] = [{"uri": f"data:image/png;base64,{encoded}", "position": "first"}]
            path = "/v1/image_to_video"
        answer = await self._api.call("POST", path, json=body)
        try:
            identifier = answer.require_ok().get("id")
        except RejectedError:
            if str(answer.body.get("failureCode", "")).startswith(_REFUSALS):
                raise ContentRefusedError("the provider's safety check refused the prompt") from None
            raise
        if not isinstance(identifier, str) or not identifier:
            raise LostAnswerError("a task without an id")
        return identifier

    async def poll(self, operation_id: str) -> Poll:
        """Looks at a task; see Provider."""
        task = await self._task(operation_id)
        status = task.get("status")
        if status == "SUCCEEDED":
            return Poll(done=True, fraction=1.0, credits=_credits(task))
        if status not in _GOING_ON:
            raise LostAnswerError("a task without a known status")
        progress = task.get("progress")
        return Poll(done=False, fraction=min(max(progress, 0.0), 1.0) if isinstance(progress, int | float) else None)

    async def fetch(self, operation_id: str, path: Path) -> None:
        """Downloads a finished task's video from its address, which is good for a day; see Provider."""
        output = (await self._task(operation_id)).get("output")
        if not isinstance(output, list) or not output or not isinstance(output[0], str):
            raise OperationFailedError("done without a video")
        await self._api.download(output[0], path)

    async def cancel(self, operation_id: str) -> None:
        """Cancels a task; see Provider."""
        answer = await self._api.call("DELETE", _path(operation_id))
        if not answer.ok and not answer.gone:
            answer.require_ok()

    async def _task(self, operation_id: str) -> Json:
        answer = await self._api.call("GET", _path(operation_id))
        if answer.gone:
            raise OperationFailedError("the provider does not know the task")
        task = answer.require_ok()
        if task.get("status") == "CANCELLED":
            raise OperationFailedError("cancelled at the provider", _credits(task))
        if task.get("status") == "FAILED":
            raise _failed(task)
        return task


def _path(operation_id: str) -> str:
    return f"/v1/tasks/{quote(operation_id, safe='')}"


def _failed(task: Json) -> OperationFailedError | ContentRefusedError:
    code = str(task.get("failureCode") or "")
    if code.startswith(_REFUSALS):
        return ContentRefusedError("the provider's safety check refused it", _credits(task))
    return OperationFailedError(f"failed with {code[:64] or 'no code'}", _credits(task))


def _credits(task: Json) -> Decimal | None:
    cost: Any = task.get("cost")
    charged = cost.get("credits") if isinstance(cost, dict) else None
    return Decimal(str(charged)) if isinstance(charged, int | float) else None
