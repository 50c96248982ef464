"""Any endpoint of the shape of OpenAI's Videos API: SGLang Diffusion, vLLM-Omni, LiteLLM and others.

They differ where the shape was never written down: the status on create, errors as text or object, statuses of their
own, failed jobs in bodies of 4xx and 5xx, answers that come with the finished video, addresses instead of `/content`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from services.worker.providers.http import Answer, Api, Json
from services.worker.providers.protocol import (
    ContentRefusedError,
    LostAnswerError,
    OperationFailedError,
    Order,
    Poll,
    RejectedError,
)

_ENDED_WELL = {"completed", "succeeded"}
_ENDED_ILL = {"failed", "cancelled", "canceled", "deleted", "expired", "error"}
_REFUSALS = ("content_policy", "moderation", "safety", "sentinel")
"""Parts of the codes by which engines say that content was refused."""
_ADDRESS = "url:"
"""What the id of an operation begins with that had no id, only the address of its video."""


class OpenAIVideos:
    """One endpoint."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def submit(self, order: Order) -> str:
        """Creates a video; see Provider. Multipart, as the official client sends it."""
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("model", order.model)
        form.add_field("prompt", order.prompt)
        form.add_field("seconds", f"{order.length_s:g}")
        form.add_field("size", f"{order.width}x{order.height}")
        if order.first_frame is not None:
            form.add_field("input_reference", order.first_frame, filename="first.png", content_type="image/png")
        answer = await self._api.call("POST", "/videos", data=form, headers={"Idempotency-Key": order.key})
        video = _video(answer)
        if isinstance(identifier := video.get("id"), str) and identifier:
            return identifier
        if address := _address(video):
            return _ADDRESS + address
        raise LostAnswerError("a video without an id")

    async def poll(self, operation_id: str) -> Poll:
        """Looks at a video; see Provider."""
        if operation_id.startswith(_ADDRESS):
            return Poll(done=True)
        video = await self._retrieve(operation_id)
        status, progress = str(video.get("status", "")).lower(), video.get("progress")
        if not status:
            raise LostAnswerError("a video without a status")
        fraction = min(max(progress / 100, 0.0), 1.0) if isinstance(progress, int | float) else None
        return Poll(done=status in _ENDED_WELL, fraction=fraction)

    async def fetch(self, operation_id: str, path: Path) -> None:
        """Downloads a finished video; see Provider."""
        if operation_id.startswith(_ADDRESS):
            address = operation_id.removeprefix(_ADDRESS)
        else:
            address = _address(await self._retrieve(operation_id)) or f"{_path(operation_id)}/content"
        await self._api.download(address, path)

    async def cancel(self, operation_id: str) -> None:
        """Deletes a video, which ends its making; see Provider."""
        answer = await self._api.call("DELETE", _path(operation_id))
        if not answer.gone and not answer.ok:
            answer.require_ok()

    async def _retrieve(self, operation_id: str) -> Json:
        answer = await self._api.call("GET", _path(operation_id))
        if answer.gone and "status" not in answer.body:
            raise OperationFailedError("the provider does not know the video")
        return _video(answer)


def _path(operation_id: str) -> str:
    return f"/videos/{quote(operation_id, safe='')}"


def _video(answer: Answer) -> Json:
    """The video in an answer; raises what it ended with, whatever the answer's own status."""
    body = answer.body
    if str(body.get("status", "")).lower() in _ENDED_ILL:
        raise _ended(body.get("error"))
    try:
        return answer.require_ok()
    except RejectedError:
        if isinstance(ended := _ended(body.get("error")), ContentRefusedError):
            raise ended from None
        raise


def _ended(error: Any) -> OperationFailedError | ContentRefusedError:
    code = error.get("code") or error.get("type") if isinstance(error, dict) else error
    if any(refusal in str(code).lower() for refusal in _REFUSALS):
        return ContentRefusedError("the provider's safety check refused it")
    # Of a text only its length is told: it may quote the prompt.
    known = str(code) if isinstance(error, dict) else f"a text of {len(str(error))} characters"
    return OperationFailedError(f"failed with {known[:64]}")


def _address(video: Json) -> str | None:
    """Where the video is, for engines that say so."""
    found = video.get("url") or video.get("video_url")
    return found if isinstance(found, str) else None
