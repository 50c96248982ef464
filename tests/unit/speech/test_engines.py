"""Speech through the models that Triton runs, without Triton."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.catalogue import reference_at
from tests.support.weights import write_random_weights
from triton_models.modeling.speech.lips import LipRefiner
from triton_models.serving.audio import AudioEngine
from triton_models.serving.decoder import DecoderEngine
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.reference import ReferenceDecoder
from triton_models.serving.reference_sound import ReferenceSoundMaker

PROMPT = 'a man says "hello mom"'


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory, speech_directory: Path) -> ModelParameters:
    weights, scratch = tmp_path_factory.mktemp("weights"), tmp_path_factory.mktemp("scratch")
    config = write_random_weights(weights)
    for file in speech_directory.iterdir():
        shutil.copy(file, weights)
    width = config.text.width
    save_file(
        {"text_embeddings": torch.zeros(4, width), "text_mask": torch.ones(4)}, scratch / "embeddings.safetensors"
    )
    latents = torch.randn(1, 7, 8, 14, 16, generator=torch.Generator().manual_seed(0))
    save_file({"latent": latents}, scratch / "latents.safetensors")
    return ModelParameters(reference_at(weights), scratch.resolve(), threads=1)


def sound(parameters: ModelParameters, engine: AudioEngine, **changes: Any) -> dict[str, Any]:
    scratch = parameters.scratch_dir
    request = {
        "embeddings": str(scratch / "embeddings.safetensors"),
        "latents": str(scratch / "latents.safetensors"),
        "prompt": PROMPT,
        "aspect_ratio": "16:9",
        "duration_s": 2,
        "include_speech": True,
        "include_music": False,
        "include_ambient": True,
        "seed": 7,
        "output": str(scratch / "sound.wav"),
        **changes,
    }
    *_, result = engine.run(json.dumps(request))
    return result


def test_the_voice_is_in_the_sound_and_in_the_record(parameters: ModelParameters) -> None:
    engine = AudioEngine.load(parameters, ReferenceSoundMaker.load)
    spoken, silent = sound(parameters, engine), sound(parameters, engine, include_speech=False)
    speech = spoken["record"]["speech"]
    assert spoken["sha256"] != silent["sha256"]
    assert spoken["record"]["omitted"] == []
    assert [symbol for symbol, _, _ in speech["phonemes"]] == ["HH", "AH", "L", "OW", "M", "AA", "M"]
    assert (speech["voice"], speech["left_out_words"], len(speech["lip_sync"]["frames"])) == ("man", 0, 24)
    assert "hello" not in json.dumps(spoken["record"])
    assert sound(parameters, engine)["sha256"] == spoken["sha256"]


def test_where_nothing_is_to_be_said_the_record_says_so(parameters: ModelParameters) -> None:
    engine = AudioEngine.load(parameters, ReferenceSoundMaker.load)
    result = sound(parameters, engine, prompt="a lake at sunset")
    assert result["record"]["omitted"] == ["speech"]
    assert "speech" not in result["record"]
    assert result["sha256"] == sound(parameters, engine, prompt="a lake at sunset", include_speech=False)["sha256"]


def test_a_model_without_a_voice_stays_silent(parameters: ModelParameters, tmp_path: Path) -> None:
    mute = tmp_path / "weights"
    shutil.copytree(parameters.entry.weights, mute)
    for file in mute.glob("speech*"):
        file.unlink()
    silent = ModelParameters(reference_at(mute), parameters.scratch_dir, threads=1)
    result = sound(parameters, AudioEngine.load(silent, ReferenceSoundMaker.load))
    assert result["record"]["omitted"] == ["speech"]


def test_the_lips_of_a_face_are_compared_with_the_voice(
    parameters: ModelParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LipRefiner, "shows_face", lambda *_: True)
    engine = AudioEngine.load(parameters, ReferenceSoundMaker.load)
    face = sound(parameters, engine)["record"]["speech"]["lip_sync"]["face"]
    assert set(face) == {
        "offset_ms", "confidence", "moved_lips_offset_ms", "moved_lips_confidence", "applied_shift_ms",
    }  # fmt: skip


def frames(parameters: ModelParameters, spoken: dict[str, Any] | None) -> np.ndarray[Any, Any]:
    scratch = parameters.scratch_dir
    request = {
        "tier": "STANDARD", "aspect_ratio": "16:9", "duration_s": 2,
        "latents": str(scratch / "latents.safetensors"), "output_dir": str(scratch / "chunks"), "spoken": spoken,
    }  # fmt: skip
    messages = list(DecoderEngine.load(parameters, ReferenceDecoder.load).run(json.dumps(request)))
    chunks = [message["path"] for message in messages if message["type"] == "chunk"]
    plan = messages[0]
    return np.concatenate(
        [np.fromfile(path, np.uint8).reshape(-1, plan["height"], plan["width"], 3) for path in chunks]
    )


def test_only_the_lips_of_a_face_that_speaks_are_moved(
    parameters: ModelParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = frames(parameters, None)
    monkeypatch.setattr(LipRefiner, "shows_face", lambda *_: True)
    assert np.array_equal(frames(parameters, {"prompt": "a lake", "seed": 7}), silent)
    speaking = frames(parameters, {"prompt": PROMPT, "seed": 7})
    assert speaking.shape == silent.shape
    assert not np.array_equal(speaking, silent)
    monkeypatch.setattr(LipRefiner, "shows_face", lambda *_: False)
    assert np.array_equal(frames(parameters, {"prompt": PROMPT, "seed": 7}), silent)
