"""Between Triton and an engine: every request gets its own stream of responses and its own error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from triton_models.serving.errors import ModelError

logger = logging.getLogger(__name__)

Message = dict[str, Any]
"""One response, as JSON."""
Run = Callable[[str], Iterator[Message]]
"""Runs a request given as JSON; closing the iterator stops the work."""

CANCELLED = "CANCELLED: the caller went away"


def respond_each(pb_utils: Any, requests: list[Any], run: Run) -> None:
    """Answers the requests of a decoupled model, one after the other; a failing one fails alone.

    `pb_utils` is Triton's module, which exists only inside its model processes.
    """
    for request in requests:
        sender = request.get_response_sender()
        error = _respond(pb_utils, request, sender, run)
        if error is None:
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        else:
            response = pb_utils.InferenceResponse(error=error)
            sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _respond(pb_utils: Any, request: Any, sender: Any, run: Run) -> Any | None:
    """Returns what went wrong, as Triton's error, or None."""
    try:
        if _stream(pb_utils, request, sender, run):
            return None
        return pb_utils.TritonError(CANCELLED, pb_utils.TritonError.CANCELLED)
    except ModelError as error:
        return pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    except Exception as error:  # whatever a model raises must not end its process
        logger.exception("request failed")
        return pb_utils.TritonError(f"INFERENCE_FAILED: {type(error).__name__}", pb_utils.TritonError.INTERNAL)


def _stream(pb_utils: Any, request: Any, sender: Any, run: Run) -> bool:
    """Sends each message as it comes; returns whether the work was finished rather than cancelled."""
    # A request cancelled in the queue is handed over all the same.
    if request.is_cancelled():
        return False
    messages = run(_text_of(pb_utils, request))
    try:
        for message in messages:
            if request.is_cancelled():
                return False
            sender.send(_response(pb_utils, message))
    finally:
        close = getattr(messages, "close", None)
        if close is not None:
            close()
    return True


def _text_of(pb_utils: Any, request: Any) -> str:
    text: str = pb_utils.get_input_tensor_by_name(request, "REQUEST").as_numpy()[0].decode()
    return text


def _response(pb_utils: Any, message: Message) -> Any:
    tensor = np.array([json.dumps(message).encode()], dtype=np.object_)
    return pb_utils.InferenceResponse([pb_utils.Tensor("RESPONSE", tensor)])
