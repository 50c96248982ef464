"""What a catalogue file may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from services.common.catalogue import Catalogue, ModelName, load_catalogue
from triton_models.modeling.reference import load_config

DEPLOY = Path(__file__).parents[3] / "deploy"
SHIPPED: dict[str, Any] = yaml.safe_load((DEPLOY / "catalogue.yaml").read_text())
OTHERS: dict[str, Any] = yaml.safe_load((DEPLOY / "models.yaml").read_text())


def test_there_is_an_entry_for_every_model() -> None:
    models = SHIPPED["models"] | OTHERS["models"]
    catalogue = Catalogue.model_validate({**SHIPPED, "models": models})
    assert set(catalogue.models) == set(get_args(ModelName))


def test_what_is_said_of_the_reference_model_is_what_its_weights_say() -> None:
    entry = load_catalogue(DEPLOY / "catalogue.yaml").triton_models["REFERENCE"]
    config = load_config(entry.weights)
    assert entry.native.sizes == {aspect: config.output_size(aspect) for aspect in config.sizes}
    assert (entry.native.fps, entry.native.max_duration_s) == (config.fps, config.max_duration_s)
    assert set(entry.tiers) == set(config.tiers)


def test_paths_start_at_the_catalogue(tmp_path: Path) -> None:
    entry = OTHERS["models"]["MOCHI1"] | {"weights": "../here", "text_encoder": "t5"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"default_model": "MOCHI1", "models": {"MOCHI1": entry}}))
    loaded = load_catalogue(tmp_path / "c.yaml").triton_models["MOCHI1"]
    assert (loaded.weights, loaded.text_encoder) == (tmp_path.parent / "here", tmp_path / "t5")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backend": "cloud"}, "backend"),
        ({"weights": None}, "weights"),
        ({"typo": 1}, "typo"),
        ({"tiers": {}}, "tiers"),
        ({"native": {"sizes": {"2:1": [2, 1]}, "fps": 24, "max_duration_s": 5}}, "sizes"),
        ({"native": {"sizes": {"1:1": [2, 2]}, "fps": 24, "max_duration_s": 8, "lengths_s": [4, 6]}}, "lengths_s"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], named: str) -> None:
    models = {"REFERENCE": SHIPPED["models"]["REFERENCE"] | change}
    with pytest.raises(ValueError, match=named):
        Catalogue.model_validate({"default_model": "REFERENCE", "models": models})


def test_the_default_model_must_be_deployed() -> None:
    with pytest.raises(ValueError, match="default_model SORA"):
        Catalogue.model_validate({**SHIPPED, "default_model": "SORA"})
