"""The weights that are shipped answer the probe by which a worker decides whether it can work at all."""

from __future__ import annotations

from pathlib import Path

from tests.support.catalogue import reference_at
from triton_models.serving.denoiser import DenoiserEngine
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.reference import ReferenceDenoiser

SHIPPED = Path(__file__).parents[3] / "triton_models" / "weights" / "reference"


def test_the_shipped_weights_are_healthy(tmp_path: Path) -> None:
    parameters = ModelParameters(reference_at(SHIPPED), tmp_path, threads=1)
    engine = DenoiserEngine.load(parameters, ReferenceDenoiser.load)
    (answer,) = engine.run('{"probe": true}')
    assert answer["healthy"]
