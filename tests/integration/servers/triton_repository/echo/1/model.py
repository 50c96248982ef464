"""A model that answers what it is asked, with the numpy major version of its process in front."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The smallest Python-backend model."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response per request."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()[0].decode()
        answer = f"{np.__version__.partition('.')[0]}:{text}".encode()
        return pb_utils.InferenceResponse([pb_utils.Tensor("TEXT", np.array([answer], dtype=np.object_))])
