"""The video decoder of LTX-2; see `triton_models.adapters.ltx2`."""

from __future__ import annotations

import os
from typing import Any

import triton_python_backend_utils as pb_utils

from triton_models.adapters.ltx2 import Ltx2Decoder
from triton_models.serving.decoder import DecoderEngine
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.respond import respond_each


class TritonPythonModel:
    """Parse, call, pack."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the weights named by config.pbtxt or the environment."""
        parameters = ModelParameters.from_triton(args, os.environ)
        self._engine = DecoderEngine.load(parameters, Ltx2Decoder.load)

    def execute(self, requests: list[Any]) -> None:
        """Streams the responses of each request."""
        respond_each(pb_utils, requests, self._engine.run)
