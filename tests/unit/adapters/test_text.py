"""Prompts for the models of others, as the encoder service encodes them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import LTX2Pipeline, MochiPipeline, WanPipeline
from safetensors.torch import load
from transformers import AutoTokenizer, T5EncoderModel

from services.common.catalogue import load_catalogue
from services.encoder.models import MissingWeightsError, PublishedText, load_models
from tests.support.catalogue import SHIPPED
from tests.support.checkpoints.families import tiny_model

CPU = torch.device("cpu")


def text_of(name: str, directory: Path, **changes: Any) -> PublishedText:
    return PublishedText.load(name, tiny_model(name, directory, **changes), CPU)


def test_without_a_negative_prompt_the_empty_text_is_encoded_against_it(checkpoints: Mapping[str, Path]) -> None:
    """As each pipeline does; for a negative prompt the pipelines' own steps are compared elsewhere."""
    for name, kind, tokens in (("MOCHI1", MochiPipeline, 256), ("WAN", WanPipeline, 512)):
        tensors = load(text_of(name, checkpoints[name]).encode("a red ball", "").blob)
        pipeline = kind.from_pretrained(checkpoints[name], transformer=None, vae=None, local_files_only=True)
        with torch.inference_mode():
            theirs = pipeline.encode_prompt("a red ball", max_sequence_length=tokens)
        names = ("text_embeddings", "text_mask", "negative_embeddings", "negative_mask")
        named = dict(zip(names if name == "MOCHI1" else names[::2], theirs, strict=True))
        assert tensors.keys() == named.keys()
        assert all(torch.equal(tensors[name], tensor[0]) for name, tensor in named.items())


def test_ltx2_has_a_text_for_the_picture_and_one_for_the_sound(checkpoints: Mapping[str, Path]) -> None:
    encoded = text_of("LTX2", checkpoints["LTX2"]).encode("a red ball", "blurry")
    tensors = load(encoded.blob)
    pipeline = LTX2Pipeline.from_pretrained(checkpoints["LTX2"], transformer=None, vae=None, local_files_only=True)
    with torch.inference_mode():
        prompt, mask, negative, negative_mask = pipeline.encode_prompt("a red ball", "blurry")
        both, masks = torch.cat([negative, prompt]), torch.cat([negative_mask, mask])
        video, audio, seen = pipeline.connectors(both, masks, padding_side="left")
    for kind, at in (("negative", 0), ("text", 1)):
        assert torch.equal(tensors[f"{kind}_embeddings"], video[at])
        assert torch.equal(tensors[f"{kind}_audio_embeddings"], audio[at])
        assert torch.equal(tensors[f"{kind}_mask"], seen[at])
    assert encoded.token_count == mask.sum()


def test_opensora_reads_a_cleaned_caption_without_padding(checkpoints: Mapping[str, Path]) -> None:
    """To the encoder padding makes no difference; Open-Sora pads to 300 tokens, and masks what it padded."""
    directory = checkpoints["OPENSORA"]
    encoded = text_of("OPENSORA", directory).encode("A **Red** Ball", "BLURRY!")
    tensors = load(encoded.blob)
    tokenizer = AutoTokenizer.from_pretrained(directory / "tokenizer", local_files_only=True)
    encoder = T5EncoderModel.from_pretrained(directory / "text_encoder", local_files_only=True).eval()
    for name, caption in (("text", "a red ball aesthetic score: 6.5."), ("negative", "blurry!")):
        tokens = tokenizer(caption, max_length=300, padding="max_length", return_tensors="pt")
        with torch.inference_mode():
            padded = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state[0]
        mask = tokens.attention_mask[0].bool()
        torch.testing.assert_close(tensors[f"{name}_embeddings"], padded[mask])
        assert tensors[f"{name}_mask"].tolist() == [True] * int(mask.sum())
    assert encoded.token_count == len(tensors["text_mask"])


def test_opensora_has_a_null_text_of_its_own_and_cuts_long_prompts(checkpoints: Mapping[str, Path]) -> None:
    encoded = text_of("OPENSORA", checkpoints["OPENSORA"]).encode("very " * 300, " ")
    assert load(encoded.blob)["negative_embeddings"].shape == (0, 32)
    assert encoded.token_count == 300


@pytest.mark.parametrize("model", ["MOCHI1", "LTX2", "WAN", "OPENSORA"])
def test_the_same_prompt_gives_the_same_bytes_and_another_does_not(model: str, checkpoints: Mapping[str, Path]) -> None:
    text = text_of(model, checkpoints[model])
    first = text.encode("a red ball", "")
    assert 4 <= first.token_count < 64
    assert text_of(model, checkpoints[model]).encode("a red ball", "") == first
    assert text.encode("a blue ball", "").blob != first.blob
    assert text.encode("a red ball", "dark").blob != first.blob


def test_the_text_encoder_may_lie_elsewhere(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    whole, rest, text = checkpoints["WAN"], tmp_path / "wan", tmp_path / "umt5"
    shutil.copytree(whole, rest)
    for part in ("tokenizer", "text_encoder"):
        shutil.move(rest / part, text / part)
    assert text_of("WAN", rest, text_encoder=str(text)).encode("a", "") == text_of("WAN", whole).encode("a", "")


def test_the_revision_names_weights_and_precision(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    shutil.copytree(checkpoints["WAN"], tmp_path / "wan")
    config = tmp_path / "wan" / "tokenizer" / "tokenizer_config.json"
    config.write_text(config.read_text() + " ")
    revisions = [
        text_of("WAN", checkpoints["WAN"]).revision,
        text_of("WAN", checkpoints["WAN"], precision="bfloat16").revision,
        text_of("WAN", tmp_path / "wan").revision,
    ]
    assert len(set(revisions)) == 3


def test_a_missing_text_encoder_is_named(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    shutil.copytree(checkpoints["WAN"], tmp_path / "wan", ignore=shutil.ignore_patterns("text_encoder"))
    catalogue = load_catalogue(SHIPPED).model_copy(update={"models": {"WAN": tiny_model("WAN", tmp_path / "wan")}})
    with pytest.raises(MissingWeightsError, match="no usable text encoder of WAN"):
        load_models(catalogue, threads=1, device="cpu")
