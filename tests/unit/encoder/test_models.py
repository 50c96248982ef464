"""Text encoders of the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from services.common.catalogue import Catalogue, load_catalogue
from services.encoder.models import MissingWeightsError, ReferenceText, load_models
from tests.support.text_weights import write_text_model

CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogue.yaml"


def catalogue(**weights: Path) -> Catalogue:
    loaded = load_catalogue(CATALOGUE)
    entry = loaded.triton_models["REFERENCE"]
    models = {name: entry.model_copy(update={"weights": path}) for name, path in weights.items()}
    return loaded.model_copy(update={"models": models})


def test_the_object_holds_what_the_contract_says(model_directory: Path) -> None:
    encoded = ReferenceText.load(model_directory).encode("a red ball", "blurry, dark")
    tensors = load(encoded.blob)
    assert set(tensors) == {"text_embeddings", "text_mask", "negative_embeddings", "negative_mask"}
    assert tensors["text_embeddings"].shape == (encoded.token_count, encoded.dim)
    assert tensors["text_embeddings"].dtype == torch.float32
    assert tensors["text_mask"].shape == (encoded.token_count,)
    assert tensors["text_mask"].all()
    assert tensors["negative_embeddings"].shape[1] == encoded.dim
    assert len(tensors["negative_embeddings"]) == len(tensors["negative_mask"]) > 0


def test_without_a_negative_prompt_there_are_no_rows_of_it(model_directory: Path) -> None:
    tensors = load(ReferenceText.load(model_directory).encode("a red ball", " ").blob)
    assert len(tensors["negative_embeddings"]) == len(tensors["negative_mask"]) == 0


def test_the_same_prompt_gives_the_same_bytes_and_another_does_not(model_directory: Path) -> None:
    model = ReferenceText.load(model_directory)
    first = model.encode("a red ball", "")
    assert ReferenceText.load(model_directory).encode("a red ball", "") == first
    assert model.encode("a blue ball", "").blob != first.blob


def test_the_revision_names_the_weights(model_directory: Path, tmp_path: Path) -> None:
    other = ReferenceText.load(write_text_model(tmp_path, seed=1))
    assert other.revision != ReferenceText.load(model_directory).revision


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=str(tmp_path)):
        load_models(catalogue(REFERENCE=tmp_path), threads=1, device="cpu")
