"""Triton as the worker uses it: explicit model control, and one stream of JSON responses per request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from services.worker.errors import ModelBrokenError, ModelFailedError, TritonUnavailableError

Message = dict[str, Any]
"""One response of a model; `triton_models/serving` has the fields."""

_OWN_ERROR = re.compile(r"(INVALID_REQUEST|CHECKPOINT_REFUSED|INFERENCE_FAILED|CANCELLED): (.*)", re.DOTALL)
_GONE = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")
_CONTROL_TIMEOUT_S = 10.0
_LIVE_TIMEOUT_S = 2.0
_UNLOADED_POLL_S = 0.05


class TritonClient:
    """One Triton server."""

    def __init__(self, client: InferenceServerClient, *, step_timeout_s: float, load_timeout_s: float) -> None:
        self._client = client
        self._step_timeout_s = step_timeout_s
        self._load_timeout_s = load_timeout_s

    async def is_live(self) -> bool:
        """Whether the server answers. It says nothing about the models: a dead one still counts as ready."""
        try:
            return bool(await self._client.is_server_live(client_timeout=_LIVE_TIMEOUT_S))
        except InferenceServerException:
            return False

    async def load(self, model: str) -> None:
        """Loads a model and has it prove that it works; one that is loaded already is only proved.

        Raises:
            ModelBrokenError: it cannot be loaded, or does not work.
            TritonUnavailableError: Triton does not answer.
        """
        await self._control(self._client.load_model(model, client_timeout=self._load_timeout_s))
        await self.probe(model)

    async def unload(self, model: str) -> None:
        """Unloads a model and waits until it is gone; raises as `load`."""
        await self._control(self._client.unload_model(model, client_timeout=_CONTROL_TIMEOUT_S))
        try:
            async with asyncio.timeout(_CONTROL_TIMEOUT_S):
                await self._until_gone(model)
        except TimeoutError as error:
            raise ModelBrokenError(f"{model} is not unloaded after {_CONTROL_TIMEOUT_S:g} s") from error

    async def _until_gone(self, model: str) -> None:
        while await self._control(self._client.is_model_ready(model, client_timeout=_LIVE_TIMEOUT_S)):  # noqa: ASYNC110
            await asyncio.sleep(_UNLOADED_POLL_S)

    async def reload(self, model: str) -> None:
        """Replaces a model's dead or stuck process; loading alone would leave it. Raises as `load`."""
        await self.unload(model)
        await self.load(model)

    async def probe(self, model: str) -> None:
        """Has the model compute the smallest thing it can.

        Raises:
            ModelBrokenError: it does not answer, or wrongly.
            TritonUnavailableError: Triton does not answer.
        """
        try:
            async with aclosing(self.stream(model, {"probe": True})) as messages:
                answers = [message async for message in messages]
        except ModelFailedError as error:
            raise ModelBrokenError(f"{model}: {error}") from error
        if not answers or not answers[-1].get("healthy"):
            raise ModelBrokenError(f"{model} computes nonsense")

    async def stream(self, model: str, request: Message) -> AsyncGenerator[Message, None]:
        """Yields a model's responses; closing the iterator cancels the computation within a step.

        Raises:
            ModelFailedError: the model refused or failed the request.
            ModelBrokenError: its process is dead or stuck, or it is not loaded.
            TritonUnavailableError: Triton does not answer.
        """
        responses = self._client.stream_infer(_one(model, request))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._step_timeout_s):
                        result, error = await anext(responses)
                except StopAsyncIteration:
                    return
                except TimeoutError as timeout:
                    raise ModelBrokenError(f"{model} has not answered for {self._step_timeout_s:g} s") from timeout
                except grpc.aio.AioRpcError as failure:
                    raise TritonUnavailableError(failure.code().name) from failure
                if error is not None:
                    raise _translate(model, error)
                if (message := _parse(result)) is not None:
                    yield message
        finally:
            responses.cancel()

    async def _control(self, call: Any) -> Any:
        try:
            return await call
        except InferenceServerException as error:
            if error.status() in _GONE:
                raise TritonUnavailableError(error.status()) from error
            raise ModelBrokenError(error.message()) from error


async def _one(model: str, request: Message) -> AsyncIterator[Message]:
    tensor = InferInput("REQUEST", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([json.dumps(request).encode()], dtype=np.object_))
    yield {"model_name": model, "inputs": [tensor]}


def _parse(result: Any) -> Message | None:
    """The JSON of a response; None for the empty one that ends a request."""
    if not result.get_response().outputs:
        return None
    message: Message = json.loads(result.as_numpy("RESPONSE")[0])
    return message


def _translate(model: str, error: InferenceServerException) -> Exception:
    """The models' own errors say their reason; others are Triton's about a model it has lost."""
    text = error.message()
    if (own := _OWN_ERROR.fullmatch(text)) is not None:
        return ModelFailedError(own[1], own[2])
    return ModelBrokenError(f"{model}: {text}")


@asynccontextmanager
async def open_triton(
    address: str, *, step_timeout_s: float, load_timeout_s: float, start_timeout_s: float
) -> AsyncIterator[TritonClient]:
    """Connects and waits until the server answers.

    Raises:
        TritonUnavailableError: it does not within `start_timeout_s`.
    """
    async with InferenceServerClient(address) as client:
        triton = TritonClient(client, step_timeout_s=step_timeout_s, load_timeout_s=load_timeout_s)
        await wait_live(triton, start_timeout_s)
        yield triton


async def wait_live(triton: TritonClient, timeout_s: float) -> None:
    """Returns once the server answers.

    Raises:
        TritonUnavailableError: it does not in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not await triton.is_live():  # noqa: ASYNC110 - it cannot tell us
                await asyncio.sleep(0.2)
    except TimeoutError as timeout:
        raise TritonUnavailableError(f"no answer within {timeout_s:g} s") from timeout
