"""What the models of others refuse: requests they cannot serve, and settings and checkpoints that do not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from services.common.catalogue import Native
from tests.support.checkpoints.families import tiny_model
from tests.unit.adapters.runs import DECODERS, DENOISERS, Run
from triton_models.adapters.clips import Grid
from triton_models.adapters.ltx2_sound import Ltx2SoundMaker
from triton_models.modeling.engine import digest_of
from triton_models.serving.audio import AudioEngine
from triton_models.serving.decoder import DecoderEngine
from triton_models.serving.denoiser import DenoiserEngine
from triton_models.serving.errors import CheckpointRefused, InvalidRequest
from triton_models.serving.parameters import ModelParameters

MODELS = ("MOCHI1", "LTX2", "WAN")
SHIPPED = yaml.safe_load((Path(__file__).parents[3] / "deploy" / "models.yaml").read_text())
PROBE = '{"probe": true}'

pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")


@pytest.mark.parametrize("model", MODELS)
def test_every_part_answers_its_probe(model: str, checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    parameters = Run.of(model, checkpoints[model], tmp_path).parameters
    (denoiser,) = DenoiserEngine.load(parameters, DENOISERS[model].load).run(PROBE)
    (decoder,) = DecoderEngine.load(parameters, DECODERS[model].load).run(PROBE)
    assert denoiser["healthy"]
    assert decoder["healthy"]
    assert denoiser["model_digest"] != decoder["model_digest"]


def test_the_sound_answers_its_probe(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    parameters = Run.of("LTX2", checkpoints["LTX2"], tmp_path).parameters
    (answer,) = AudioEngine.load(parameters, Ltx2SoundMaker.load).run(PROBE)
    assert answer["healthy"]


@pytest.fixture
def wan(checkpoints: Mapping[str, Path], tmp_path: Path) -> Run:
    run = Run.of("WAN", checkpoints["WAN"], tmp_path)
    run.encode()
    return run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aspect_ratio": "1:1"}, "1:1 is not one of 16:9"),
        ({"duration_s": 6}, "6 s is longer than 5 s"),
        ({"first_frame": "embeddings.safetensors"}, "first_frame is not supported"),
        ({"reference": "embeddings.safetensors"}, "reference is not supported"),
        ({"embeddings": "none.safetensors"}, "none.safetensors cannot be read"),
    ],
)
def test_what_the_model_cannot_draw_is_refused(wan: Run, changes: dict[str, Any], message: str) -> None:
    files = {
        field: str(wan.scratch / changes[field])
        for field in {"first_frame", "reference", "embeddings"} & changes.keys()
    }
    with pytest.raises(InvalidRequest, match=message):
        wan.denoise(**{**changes, **files})


def test_embeddings_of_another_model_are_refused(wan: Run) -> None:
    save_file({"text_embeddings": torch.zeros(3, 8)}, wan.scratch / "embeddings.safetensors")
    with pytest.raises(InvalidRequest, match="lacks negative_embeddings"):
        wan.denoise()


def test_latents_of_another_clip_are_refused(wan: Run) -> None:
    save_file({"latent": torch.zeros(1, 2, 4, 8, 16)}, wan.scratch / "latents.safetensors")
    with pytest.raises(InvalidRequest, match="are not of"):
        wan.frames(1)


def test_a_checkpoint_of_another_prompt_or_precision_is_refused(wan: Run) -> None:
    wan.denoise()
    other = Run.of("WAN", wan.parameters.entry.weights, wan.scratch, precision="bfloat16")
    with pytest.raises(CheckpointRefused, match="another request"):
        other.denoise(resume=str(wan.checkpoint(2)))
    with pytest.raises(CheckpointRefused, match="another request"):
        wan.denoise(resume=str(wan.checkpoint(2)), seed=8)


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offload_needs_a_gpu(offload: str, checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    parameters = Run.of("WAN", checkpoints["WAN"], tmp_path, offload=offload).parameters
    with pytest.raises(ValueError, match=f"offload: {offload} needs a GPU"):
        DENOISERS["WAN"].load(parameters)


def test_sizes_must_be_whole_tokens(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    native = {"sizes": {"16:9": (64, 40)}, "fps": 4, "max_duration_s": 5}
    entry = tiny_model("WAN", checkpoints["WAN"], native=native)
    with pytest.raises(ValueError, match="16:9 must divide by 16"):
        DENOISERS["WAN"].load(ModelParameters(entry, tmp_path, 1, "cpu"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boundary_ratio": 0.9}, "Wan 2.2"),
        (
            {"scheduler": ["diffusers", "FlowMatchHeunDiscreteScheduler"]},
            "HeunDiscreteScheduler for scheduler",
        ),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(
    change: dict[str, Any], message: str, checkpoints: Mapping[str, Path], tmp_path: Path
) -> None:
    for path in checkpoints["WAN"].iterdir():
        (tmp_path / path.name).symlink_to(path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "model_index.json").write_text(json.dumps(index | change))
    with pytest.raises(ValueError, match=message):
        DENOISERS["WAN"].load(Run.of("WAN", tmp_path, tmp_path).parameters)


def test_a_digest_is_of_every_byte(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "a").write_bytes(b"1")
    digests = {digest_of(tmp_path, "vae")}
    (tmp_path / "vae" / "a").write_bytes(b"2")
    digests.add(digest_of(tmp_path, "vae"))
    (tmp_path / "vae" / "a").rename(tmp_path / "vae" / "b")
    digests.add(digest_of(tmp_path, "vae"))
    assert len(digests) == 3
    with pytest.raises(FileNotFoundError, match="has no text_encoder"):
        digest_of(tmp_path, "text_encoder")


@pytest.mark.parametrize("model", MODELS)
def test_the_shipped_sizes_are_whole_tokens(model: str) -> None:
    units = {"MOCHI1": Grid(8, 6, 2), "LTX2": Grid(32, 8, 1), "WAN": Grid(8, 4, 2)}
    units[model].check(Native.model_validate(SHIPPED["models"][model]["native"]))
