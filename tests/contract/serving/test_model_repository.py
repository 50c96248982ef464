"""The model repository is what Triton and the worker take it for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from services.common.catalogue import load_catalogue
from triton_models.serving.parameters import ENVIRONMENT

ROOT = Path(__file__).parents[3]
REPOSITORY = ROOT / "triton_models" / "model_repository"
MODELS = sorted(path.name for path in REPOSITORY.iterdir())


def config_of(model: str) -> model_config_pb2.ModelConfig:
    text = (REPOSITORY / model / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_the_entries_name_exactly_these_models(tmp_path: Path) -> None:
    """Each with the entry that its configuration reads."""
    deployed, others = (
        yaml.safe_load((ROOT / "deploy" / file).read_text()) for file in ("catalogue.yaml", "models.yaml")
    )
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({**deployed, "models": deployed["models"] | others["models"]}))
    catalogue = load_catalogue(tmp_path / "all.yaml")
    named = {part: name for name, entry in catalogue.triton_models.items() for part in entry.parts}
    assert named == {model: config_of(model).parameters["model"].string_value for model in MODELS}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_streams_json(model: str) -> None:
    config = config_of(model)
    assert config.name == model
    assert config.model_transaction_policy.decoupled
    for tensors, name in ((config.input, "REQUEST"), (config.output, "RESPONSE")):
        assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in tensors] == [
            (name, model_config_pb2.TYPE_STRING, [1])
        ]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_the_parameters_it_reads(model: str) -> None:
    assert set(config_of(model).parameters) == {"model", *ENVIRONMENT}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_parses_calls_and_packs_and_nothing_else(model: str) -> None:
    assert len((REPOSITORY / model / "1" / "model.py").read_text().splitlines()) <= 40
