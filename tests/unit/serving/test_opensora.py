"""OPENSORA as its two Triton models are asked for it, with tiny random weights in the published layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from services.common.catalogue import TritonModel, load_catalogue
from tests.support.catalogue import write_catalogue
from tests.support.checkpoints.opensora import opensora_entry, write_opensora
from triton_models.modeling.opensora.pipeline import encode_picture
from triton_models.serving.decoder import DecoderEngine
from triton_models.serving.denoiser import DenoiserEngine
from triton_models.serving.errors import CheckpointRefused, InvalidRequest
from triton_models.serving.files import read_latents
from triton_models.serving.opensora import OpenSoraDecoder, OpenSoraDenoiser, plan_of
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.requests import DitRequest, parse

Messages = Iterator[dict[str, Any]]
WIDTH = 32
PICTURE = np.random.default_rng(2).integers(0, 256, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_opensora(tmp_path_factory.mktemp("weights") / "opensora")


def entry_at(directory: Path, weights: Path, **changes: Any) -> TritonModel:
    catalogue = write_catalogue(directory, weights, OPENSORA=opensora_entry(weights, **changes))
    return load_catalogue(catalogue).triton_models["OPENSORA"]


@pytest.fixture
def parameters(tmp_path: Path, weights: Path) -> ModelParameters:
    return ModelParameters(entry_at(tmp_path, weights), tmp_path, 1)


@pytest.fixture
def engine(parameters: ModelParameters) -> DenoiserEngine:
    return DenoiserEngine.load(parameters, OpenSoraDenoiser.load)


def write_embeddings(path: Path, tokens: int = 7, width: int = WIDTH, *, negative: int = 0) -> str:
    generator = torch.Generator().manual_seed(1)
    tensors = {"text_embeddings": torch.randn(tokens, width, generator=generator), "text_mask": torch.ones(tokens)}
    tensors["negative_embeddings"] = torch.randn(negative, width, generator=generator)
    tensors["negative_mask"] = torch.ones(negative)
    save_file(tensors, path)
    return str(path)


def request_with(engine: DenoiserEngine, **changes: Any) -> str:
    scratch = engine.scratch_dir
    fields = {
        "tier": "STANDARD",
        "aspect_ratio": "16:9",
        "duration_s": 1,
        "embeddings": write_embeddings(scratch / "embeddings.safetensors"),
        "steps": 4,
        "guidance": 7,
        "seed": 5,
        "checkpoint_every": 1,
        "checkpoint_dir": str(scratch / "checkpoints"),
        "stop_file": str(scratch / "stop"),
        "output": str(scratch / "latents.safetensors"),
    }
    return json.dumps(fields | changes)


def latents_of(messages: Messages) -> str:
    *_, result = messages
    digest: str = result["latents"]["sha256"]
    return digest


def checkpoints_of(messages: list[dict[str, Any]]) -> list[str]:
    return [written["path"] for message in messages for written in message.get("checkpoints", [])]


def test_a_clip_is_sampled_and_decoded(engine: DenoiserEngine, parameters: ModelParameters) -> None:
    """24 frames are made as 34, of which the last ten are cut; 58 pixels are 7 latents and a rest of 2."""
    plan, *steps, result = engine.run(request_with(engine))
    assert (plan["frames"], plan["height"], plan["width"], plan["fps"]) == (24, 32, 56, 24)
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    assert result["latents"]["shape"] == [1, 10, 4, 7, 4]
    decoder = DecoderEngine.load(parameters, OpenSoraDecoder.load)
    request = {"tier": "STANDARD", "aspect_ratio": "16:9", "duration_s": 1, "latents": result["latents"]["path"]}
    plan, *chunks, result = decoder.run(json.dumps({**request, "output_dir": str(engine.scratch_dir / "frames")}))
    assert [chunk["frames"] for chunk in chunks] == [17, 7]
    assert all(Path(chunk["path"]).stat().st_size == chunk["frames"] * 32 * 56 * 3 for chunk in chunks)
    assert result["frames"] == plan["frames"] == 24


def test_every_checkpoint_resumes_to_the_same_bits(engine: DenoiserEngine) -> None:
    whole = list(engine.run(request_with(engine)))
    for path in checkpoints_of(whole):
        assert latents_of(engine.run(request_with(engine, resume=path))) == whole[-1]["latents"]["sha256"]


def test_a_checkpoint_is_of_one_request(engine: DenoiserEngine, tmp_path: Path) -> None:
    path = checkpoints_of(list(engine.run(request_with(engine))))[0]
    negative = write_embeddings(tmp_path / "negative.safetensors", negative=3)
    for change in ({"seed": 6}, {"guidance": 6}, {"embeddings": negative}):
        with pytest.raises(CheckpointRefused):
            list(engine.run(request_with(engine, resume=path, **change)))


def test_seed_guidance_and_negative_prompt_have_their_effect(engine: DenoiserEngine, tmp_path: Path) -> None:
    negative = write_embeddings(tmp_path / "negative.safetensors", negative=3)
    variants: list[dict[str, Any]] = [{}, {"seed": 6}, {"guidance": 1}, {"embeddings": negative}]
    digests = {latents_of(engine.run(request_with(engine, **variant))) for variant in variants}
    assert len(digests) == len(variants)


def test_a_clip_begins_with_a_picture(engine: DenoiserEngine) -> None:
    save_file({"picture": torch.from_numpy(PICTURE)}, engine.scratch_dir / "picture.safetensors")
    text = request_with(engine, first_frame=str(engine.scratch_dir / "picture.safetensors"))
    list(engine.run(text))
    assert isinstance(engine.denoiser, OpenSoraDenoiser)
    vae = engine.denoiser.vae
    plan = plan_of(engine.denoiser.native, vae.config, parse(DitRequest, text, engine.scratch_dir))
    latents = read_latents(engine.scratch_dir / "latents.safetensors")
    assert torch.equal(latents[:, :1], encode_picture(vae, plan, PICTURE))


def test_a_clip_is_made_after_another_the_freer_the_higher_the_strength(engine: DenoiserEngine) -> None:
    """A reference that is too short, as here, stands still at its end."""
    clip = np.random.default_rng(3).integers(0, 256, (9, 60, 90, 3), dtype=np.uint8)
    save_file({"frames": torch.from_numpy(clip)}, engine.scratch_dir / "frames.safetensors")
    given = {"reference": str(engine.scratch_dir / "frames.safetensors"), "guidance": 1}
    distances = []
    for strength in (0.1, 0.5, 1.0):
        text = request_with(engine, **given, strength=strength)
        assert isinstance(engine.denoiser, OpenSoraDenoiser)
        sampling = engine.denoiser.begin(parse(DitRequest, text, engine.scratch_dir))
        assert sampling.reference is not None
        *_, result = engine.run(text)
        assert result["type"] == "result"
        latents = read_latents(engine.scratch_dir / "latents.safetensors")
        distances.append(float((latents - sampling.reference).square().mean()))
    assert distances == sorted(distances)


def test_half_precision_makes_nearly_the_same(parameters: ModelParameters, weights: Path) -> None:
    made = {}
    for precision in ("float32", "bfloat16"):
        entry = entry_at(parameters.scratch_dir, weights, precision=precision)
        engine = DenoiserEngine.load(ModelParameters(entry, parameters.scratch_dir, 1), OpenSoraDenoiser.load)
        list(engine.run(request_with(engine, guidance=1)))
        made[precision] = read_latents(engine.scratch_dir / "latents.safetensors")
    difference = (made["bfloat16"] - made["float32"]).std() / made["float32"].std()
    assert 0 < difference < 0.05


@pytest.mark.parametrize("family", [OpenSoraDenoiser, OpenSoraDecoder])
def test_the_networks_are_healthy(
    parameters: ModelParameters, family: type[OpenSoraDenoiser | OpenSoraDecoder]
) -> None:
    assert family.load(parameters).probe()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"aspect_ratio": "4:3"}, "aspect ratio 4:3 is not one of 16:9, 1:1"), ({"duration_s": 17}, "longer than 16 s")],
)
def test_clips_that_the_model_does_not_make_are_refused(
    engine: DenoiserEngine, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        engine.run(request_with(engine, **changes))


@pytest.mark.parametrize(("tokens", "width"), [(7, WIDTH + 1), (301, WIDTH), (0, WIDTH)])
def test_embeddings_of_another_encoder_are_refused(engine: DenoiserEngine, tokens: int, width: int) -> None:
    text = request_with(engine)
    write_embeddings(engine.scratch_dir / "embeddings.safetensors", tokens, width)
    with pytest.raises(InvalidRequest, match=f"embeddings of {tokens} tokens of {width}"):
        engine.run(text)
