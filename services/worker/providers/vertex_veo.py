"""Veo on Vertex AI: predictLongRunning, then fetchPredictOperation. It has no progress and cannot be cancelled."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from services.worker.providers.http import Answer, Api, Json
from services.worker.providers.protocol import (
    ContentRefusedError,
    LostAnswerError,
    OperationFailedError,
    Order,
    Poll,
    RejectedError,
)
from services.worker.threads import in_thread

_SEEDS = 2**32
_REFUSALS = ("usage guidelines", "responsible ai", "safety")
"""What Vertex's texts say of a refusal; it has no code of its own for it."""


class VertexVeo:
    """One model of one project."""

    def __init__(self, api: Api, project: str, location: str, model: str) -> None:
        self._api = api
        self._path = f"/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}"

    async def submit(self, order: Order) -> str:
        """Begins an operation; see Provider."""
        instance: Json = {"prompt": order.prompt}
        if order.first_frame is not None:
            encoded = base64.b64encode(order.first_frame).decode()
            instance["image"] = {"bytesBase64Encoded": encoded, "mimeType": "image/png"}
        parameters: Json = {
            "sampleCount": 1,
            "durationSeconds": round(order.length_s),
            "aspectRatio": order.aspect_ratio,
            "resolution": f"{min(order.width, order.height)}p",
            "generateAudio": order.sound,
            "seed": order.seed % _SEEDS,
        }
        if order.negative_prompt:
            parameters["negativePrompt"] = order.negative_prompt
        answer = await self._call("predictLongRunning", {"instances": [instance], "parameters": parameters})
        try:
            name = answer.require_ok().get("name")
        except RejectedError:
            _raise_if_refused(answer.body.get("error"))
            raise
        if not isinstance(name, str) or not name:
            raise LostAnswerError("an operation without a name")
        return name

    async def poll(self, operation_id: str) -> Poll:
        """Looks at an operation; see Provider."""
        operation = await self._operation(operation_id)
        if not operation.get("done"):
            return Poll(done=False)
        _video_of(operation)
        return Poll(done=True)

    async def fetch(self, operation_id: str, path: Path) -> None:
        """Writes the video, which comes inside the operation; see Provider."""
        encoded = _video_of(await self._operation(operation_id))
        try:
            video = await in_thread(base64.b64decode, encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise OperationFailedError("the video is not in base64") from error
        if len(video) > self._api.caps.result_bytes:
            raise OperationFailedError("the result is too large")
        await in_thread(path.write_bytes, video)

    async def cancel(self, operation_id: str) -> None:
        """Nothing: there is no such call, and the operation is left to itself."""

    async def _operation(self, operation_id: str) -> Json:
        answer = await self._call("fetchPredictOperation", {"operationName": operation_id})
        if answer.gone:
            raise OperationFailedError("the provider does not know the operation")
        return answer.require_ok()

    async def _call(self, verb: str, body: Json) -> Answer:
        # The video comes inside the answer, in base64.
        most_bytes = 2 * self._api.caps.result_bytes
        return await self._api.call("POST", f"{self._path}:{verb}", json=body, most_bytes=most_bytes)


def _video_of(operation: Json) -> str:
    """The video of an operation that is done, in base64; raises what it ended with instead."""
    if (error := operation.get("error")) is not None:
        _raise_if_refused(error)
        raise OperationFailedError(f"error {_field(error, 'code')}")
    response = operation.get("response")
    videos = _field(response, "videos")
    if not videos and _field(response, "raiMediaFilteredCount"):
        raise ContentRefusedError("the provider's safety check refused the video")
    if not isinstance(videos, list) or not videos:
        raise OperationFailedError("done without a video")
    encoded = _field(videos[0], "bytesBase64Encoded")
    if not isinstance(encoded, str):
        raise OperationFailedError("the video is not in the answer")
    return encoded


def _raise_if_refused(error: object) -> None:
    text = str(_field(error, "message")).lower()
    if any(refusal in text for refusal in _REFUSALS):
        raise ContentRefusedError("the provider's safety check refused the prompt")


def _field(of: object, name: str) -> Any:
    return of.get(name) if isinstance(of, dict) else None
