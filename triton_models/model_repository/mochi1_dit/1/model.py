"""The denoising transformer of Mochi 1; see `triton_models.adapters.mochi`."""

from __future__ import annotations

import os
from typing import Any

import triton_python_backend_utils as pb_utils

from triton_models.adapters.mochi import MochiDenoiser
from triton_models.serving.denoiser import DenoiserEngine
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.respond import respond_each


class TritonPythonModel:
    """Parse, call, pack."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the weights named by config.pbtxt or the environment."""
        parameters = ModelParameters.from_triton(args, os.environ)
        self._engine = DenoiserEngine.load(parameters, MochiDenoiser.load)

    def execute(self, requests: list[Any]) -> None:
        """Streams the responses of each request."""
        respond_each(pb_utils, requests, self._engine.run)
