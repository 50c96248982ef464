"""Responding to Triton, which here is a stand-in with the few names that exist only inside its model processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from triton_models.serving.errors import InvalidRequest
from triton_models.serving.respond import Message, respond_each

FINAL = 1


class TritonError(Exception):
    CANCELLED, INVALID_ARG, INTERNAL = "CANCELLED", "INVALID_ARG", "INTERNAL"

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Response:
    tensors: list[Any] = field(default_factory=list)
    error: TritonError | None = None


@dataclass
class Request:
    """One request, its sender and what was sent."""

    text: str
    cancelled_after: int = 1000
    sent: list[Any] = field(default_factory=list)
    finals: int = 0

    def get_response_sender(self) -> Request:
        return self

    def is_cancelled(self) -> bool:
        return len(self.sent) >= self.cancelled_after

    def send(self, response: Response | None = None, flags: int = 0) -> None:
        assert not self.finals, "sent after the final response"
        self.finals += flags == FINAL
        if response is not None:
            self.sent.append(response.error or json.loads(response.tensors[0][1][0]))


PB_UTILS = SimpleNamespace(
    TritonError=TritonError,
    InferenceResponse=lambda tensors=(), error=None: Response(list(tensors), error),
    Tensor=lambda name, array: (name, array),
    TRITONSERVER_RESPONSE_COMPLETE_FINAL=FINAL,
    get_input_tensor_by_name=lambda request, name: SimpleNamespace(
        as_numpy=lambda: np.array([request.text.encode()], dtype=np.object_)
    ),
)


def count(text: str) -> Iterator[Message]:
    """Counts to the number it is given."""
    if not text.isdigit():
        raise InvalidRequest("not a number")
    return ({"number": number} for number in range(int(text)))


def test_sends_each_message_and_one_final_flag() -> None:
    request = Request("3")
    respond_each(PB_UTILS, [request], count)
    assert request.sent == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert request.finals == 1


def test_a_bad_request_fails_alone() -> None:
    bad, good = Request("x"), Request("1")
    respond_each(PB_UTILS, [bad, good], count)
    assert (str(bad.sent[0]), bad.sent[0].code) == ("INVALID_REQUEST: not a number", TritonError.INVALID_ARG)
    assert good.sent == [{"number": 0}]
    assert bad.finals == good.finals == 1


def test_an_unexpected_error_tells_its_type_and_not_its_text() -> None:
    def fail(_: str) -> Iterator[Message]:
        yield {"number": 0}
        raise RuntimeError("a path or a prompt")

    request = Request("1")
    respond_each(PB_UTILS, [request], fail)
    assert request.sent[0] == {"number": 0}
    assert (str(request.sent[1]), request.sent[1].code) == ("INFERENCE_FAILED: RuntimeError", TritonError.INTERNAL)


@pytest.mark.parametrize("after", [0, 2])
def test_a_cancelled_request_stops_the_work_and_closes_it(after: int) -> None:
    closed = []

    def work(_: str) -> Iterator[Message]:
        try:
            for number in range(10):
                yield {"number": number}
        finally:
            closed.append(True)

    request = Request("1", cancelled_after=after)
    respond_each(PB_UTILS, [request], work)
    assert request.sent[:-1] == [{"number": number} for number in range(after)]
    assert request.sent[-1].code == TritonError.CANCELLED
    # Cancelled in the queue, the work is not even begun.
    assert closed == ([True] if after else [])
