"""A clip that begins with a picture, as the `dit` model is asked for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.catalogue import reference_at
from triton_models.modeling.pipeline import encode_picture
from triton_models.modeling.reference import ReferenceModel, load_reference, load_text_encoder
from triton_models.serving.denoiser import DenoiserEngine
from triton_models.serving.errors import CheckpointRefused, InvalidRequest
from triton_models.serving.files import read_latents
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.reference import ReferenceDenoiser, plan_of
from triton_models.serving.requests import DitRequest, parse

WEIGHTS = Path(__file__).parents[3] / "triton_models" / "weights" / "reference"


@pytest.fixture(scope="module")
def model() -> ReferenceModel:
    return load_reference(WEIGHTS)


@pytest.fixture
def engine(tmp_path: Path, model: ReferenceModel) -> DenoiserEngine:
    parameters = ModelParameters(reference_at(WEIGHTS), tmp_path, 1)
    return DenoiserEngine.load(parameters, lambda _: ReferenceDenoiser(model))


def request_with(engine: DenoiserEngine, **changes: Any) -> str:
    scratch = engine.scratch_dir
    prompt = load_text_encoder(WEIGHTS).encode("a red ball bouncing on green grass")
    embeddings = {"text_embeddings": prompt.embeddings, "text_mask": prompt.mask.to(torch.uint8)}
    save_file(embeddings, scratch / "embeddings.safetensors")
    picture = np.random.default_rng(2).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    save_file({"picture": torch.from_numpy(picture)}, scratch / "picture.safetensors")
    fields = {
        "tier": "STANDARD",
        "aspect_ratio": "1:1",
        "duration_s": 1,
        "embeddings": str(scratch / "embeddings.safetensors"),
        "steps": 2,
        "guidance": 2,
        "seed": 5,
        "first_frame": str(scratch / "picture.safetensors"),
        "checkpoint_every": 1,
        "checkpoint_dir": str(scratch / "checkpoints"),
        "stop_file": str(scratch / "stop"),
        "output": str(scratch / "latents.safetensors"),
    }
    return json.dumps({name: value for name, value in (fields | changes).items() if value is not None})


def test_the_clip_begins_with_the_picture(engine: DenoiserEngine, model: ReferenceModel) -> None:
    text = request_with(engine)
    *_, result = engine.run(text)
    assert result["type"] == "result"
    plan = plan_of(model.config, parse(DitRequest, text, engine.scratch_dir))
    picture = np.random.default_rng(2).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    latents = read_latents(engine.scratch_dir / "latents.safetensors")
    assert torch.equal(latents[:, :1], encode_picture(model, plan, picture))


def test_a_checkpoint_of_a_clip_with_a_picture_is_not_one_without(engine: DenoiserEngine) -> None:
    checkpoints = [path for message in engine.run(request_with(engine)) for path in message.get("checkpoints", [])]
    resume = str(checkpoints[0]["path"])
    assert list(engine.run(request_with(engine, resume=resume)))[-1]["type"] == "result"
    with pytest.raises(CheckpointRefused):
        list(engine.run(request_with(engine, resume=resume, first_frame=None)))


@pytest.mark.parametrize(
    "tensors",
    [
        {"frame": torch.zeros(4, 4, 3, dtype=torch.uint8)},
        {"picture": torch.zeros(4, 4, 3)},
        {"picture": torch.zeros(4, 4, 1, dtype=torch.uint8)},
        {"picture": torch.zeros(0, 4, 3, dtype=torch.uint8)},
    ],
)
def test_what_is_no_picture_is_refused(engine: DenoiserEngine, tensors: dict[str, torch.Tensor]) -> None:
    text = request_with(engine)
    save_file(tensors, engine.scratch_dir / "picture.safetensors")
    with pytest.raises(InvalidRequest, match="first frame"):
        engine.run(text)
