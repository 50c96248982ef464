"""How a model process is set up, and the files it reads and writes."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.catalogue import reference_at, write_catalogue
from triton_models.serving.audio import wav_bytes
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_embeddings, read_latents, write_latents
from triton_models.serving.parameters import ModelParameters, prepare_process


def triton_args(directory: Path, **given: str) -> dict[str, str]:
    config = {"parameters": {name: {"string_value": value} for name, value in given.items()}}
    return {"model_repository": str(directory / "repository" / "dit"), "model_config": json.dumps(config)}


def test_the_environment_overrides_the_parameters(tmp_path: Path) -> None:
    write_catalogue(tmp_path, tmp_path / "weights")
    (tmp_path / "repository" / "dit").mkdir(parents=True)
    given = {"model": "REFERENCE", "catalogue": "../../catalogue.yaml", "scratch_dir": "/scratch", "threads": "2"}
    args = triton_args(tmp_path, **given, device="auto")
    entry = reference_at(tmp_path / "weights")
    assert ModelParameters.from_triton(args, {}) == ModelParameters(entry, Path("/scratch"), 2)
    environ = {
        "KINEMESH_SCRATCH_DIRECTORY": str(tmp_path),
        "KINEMESH_TRITON_THREADS": "1",
        "KINEMESH_TRITON_DEVICE": "cpu",
    }
    assert ModelParameters.from_triton(args, environ) == ModelParameters(entry, tmp_path, 1, "cpu")
    elsewhere = write_catalogue(tmp_path / "repository", tmp_path / "other")
    moved = ModelParameters.from_triton(args, {"KINEMESH_CATALOGUE_PATH": str(elsewhere)})
    assert moved.entry.weights == tmp_path / "other"


def test_a_missing_parameter_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scratch_dir, threads, device"):
        ModelParameters.from_triton(triton_args(tmp_path, model="REFERENCE", catalogue="x"), {})


def test_a_model_that_the_catalogue_lacks_is_named(tmp_path: Path) -> None:
    path = write_catalogue(tmp_path, tmp_path)
    given = {"catalogue": str(path), "scratch_dir": "/scratch", "threads": "1", "device": "auto"}
    args = triton_args(tmp_path, model="MOCHI1", **given)
    with pytest.raises(ValueError, match="no model MOCHI1"):
        ModelParameters.from_triton(args, {})


def test_numpy_2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numpy.__version__", "2.0.0")
    with pytest.raises(RuntimeError, match="numpy < 2"):
        prepare_process(1)


def test_latents_survive_the_disk(tmp_path: Path) -> None:
    latent = torch.randn(1, 2, 4, 4, 16)
    described = write_latents(tmp_path / "latents.safetensors", {"latent": latent})
    assert (described["shape"], described["dtype"]) == ([1, 2, 4, 4, 16], "float32")
    assert torch.equal(read_latents(Path(described["path"])), latent)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b'\x08\x00\x00\x00\x00\x00\x00\x00{"a":1}}'])
def test_a_file_that_holds_no_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InvalidRequest):
        read_latents(tmp_path / "x")


def test_absent_and_empty_negative_embeddings_mean_the_null_text(tmp_path: Path) -> None:
    given = {"text_embeddings": torch.randn(3, 8), "text_mask": torch.tensor([1, 1, 0])}
    save_file(given, tmp_path / "absent")
    save_file(given | {"negative_embeddings": torch.zeros(0, 8), "negative_mask": torch.zeros(0)}, tmp_path / "empty")
    save_file(given | {"negative_embeddings": torch.ones(2, 8), "negative_mask": torch.ones(2)}, tmp_path / "given")
    prompt, nothing = read_embeddings(tmp_path / "absent")
    assert prompt.mask.tolist() == [True, True, False]
    assert nothing is None
    assert read_embeddings(tmp_path / "empty")[1] is None
    negative = read_embeddings(tmp_path / "given")[1]
    assert negative is not None
    assert negative.embeddings.shape == (2, 8)


def test_embeddings_without_a_prompt_are_refused(tmp_path: Path) -> None:
    save_file({"text_mask": torch.ones(1)}, tmp_path / "x")
    with pytest.raises(InvalidRequest, match="text_embeddings"):
        read_embeddings(tmp_path / "x")


def test_a_wav_file_holds_the_waveform() -> None:
    waveform = np.array([[0, 0.5, -1, 2], [0, -0.5, 1, -2]], dtype=np.float32)
    with wave.open(io.BytesIO(wav_bytes(waveform, 24_000))) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getnframes()) == (2, 24_000, 4)
        levels = np.frombuffer(wav.readframes(4), "<i2").reshape(4, 2).T
    assert levels.tolist() == [[0, 16384, -32767, 32767], [0, -16384, 32767, -32767]]
