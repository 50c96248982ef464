"""What our loop and our decoders make is what diffusers' pipelines make of the same seed, to the bit."""

from __future__ import annotations

import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.checkpoints.wan import write_wan
from tests.unit.adapters.runs import DECODERS, STEPS, PipelineRun, Run
from triton_models.adapters.ltx2_sound import Ltx2SoundMaker
from triton_models.adapters.placement import Placement
from triton_models.serving.audio import AudioEngine, wav_bytes

MODELS = ("MOCHI1", "LTX2", "WAN")
LTX2_WITHOUT_GUIDANCE = {
    "guidance_scale": 1.0, "stg_scale": 0.0, "modality_scale": 1.0, "guidance_rescale": 0.0,
    "audio_guidance_scale": 1.0, "audio_stg_scale": 0.0, "audio_modality_scale": 1.0, "audio_guidance_rescale": 0.0,
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning")


def assert_steps_are(run: Run, theirs: PipelineRun) -> None:
    """Fails unless our checkpoints hold their latents."""
    for step in range(1, STEPS):
        assert torch.equal(load_file(run.checkpoint(step))["latent"], theirs.steps[step - 1]), step


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_steps_and_frames_are_the_pipelines(
    model: str, precision: str, checkpoints: Mapping[str, Path], tmp_path: Path
) -> None:
    run = Run.of(model, checkpoints[model], tmp_path, precision=precision)
    run.encode()
    run.denoise()
    theirs = run.pipeline()
    assert_steps_are(run, theirs)
    assert np.array_equal(run.frames(chunk_frames=64), theirs.frames[:8])
    if theirs.sound is not None:
        assert sound(run) == wav_bytes(theirs.sound[:, : 2 * 24000], 24000)


@pytest.mark.parametrize("model", MODELS)
def test_without_guidance_too(model: str, checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    run = Run.of(model, checkpoints[model], tmp_path)
    run.encode()
    run.denoise(guidance=1.0)
    off = LTX2_WITHOUT_GUIDANCE if model == "LTX2" else {"guidance_scale": 1.0}
    # Against nothing the pipeline encodes nothing: one text in a batch rounds unlike two.
    theirs = run.pipeline(**off).steps
    for step in range(1, STEPS):
        ours = load_file(run.checkpoint(step))["latent"]
        torch.testing.assert_close(ours, theirs[step - 1], rtol=1e-5, atol=1e-5)


def test_wan_by_eulers_scheduler_too(tmp_path: Path) -> None:
    write_wan(tmp_path / "wan", euler=True)
    run = Run.of("WAN", tmp_path / "wan", tmp_path)
    run.encode()
    run.denoise()
    assert_steps_are(run, run.pipeline())


@pytest.mark.parametrize("model", MODELS)
def test_any_step_is_enough_to_go_on_from_to_the_same_bits(
    model: str, checkpoints: Mapping[str, Path], tmp_path: Path
) -> None:
    run = Run.of(model, checkpoints[model], tmp_path, precision="bfloat16")
    run.encode()
    run.denoise()
    whole = run.latents
    for step in range(1, STEPS):
        answers = run.denoise(resume=str(run.checkpoint(step)), checkpoint_every=0)
        assert [answer["step"] for answer in answers if answer["type"] == "step"] == list(range(step + 1, STEPS + 1))
        resumed = run.latents
        assert resumed.keys() == whole.keys()
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize(("model", "chunk_frames"), [("MOCHI1", 1), ("MOCHI1", 2), ("WAN", 1), ("LTX2", 2)])
def test_a_clip_decoded_in_parts_is_the_whole(
    model: str, chunk_frames: int, checkpoints: Mapping[str, Path], tmp_path: Path
) -> None:
    run = Run.of(model, checkpoints[model], tmp_path)
    run.encode()
    run.denoise(steps=2)
    whole = run.frames(chunk_frames=64).astype(int)
    # A convolution over fewer frames may take another kernel, which rounds by less than one level in 255.
    assert np.abs(run.frames(chunk_frames).astype(int) - whole).max() <= 1


def sound(run: Run, **changes: Any) -> bytes:
    """Returns the WAV file of the last run's sound latents."""
    request = {
        "embeddings": str(run.scratch / "embeddings.safetensors"), "latents": str(run.scratch / "latents.safetensors"),
        "prompt": "", "aspect_ratio": "16:9", "duration_s": 2, "include_speech": True, "include_music": False,
        "include_ambient": True, "seed": 7, "output": str(run.scratch / "sound.wav"), **changes,
    }  # fmt: skip
    (result,) = AudioEngine.load(run.parameters, Ltx2SoundMaker.load).run(json.dumps(request))
    assert result["record"] == {"made_with_the_picture": True, "not_left_out": ["music"]}
    return (run.scratch / "sound.wav").read_bytes()


def test_a_sound_is_as_long_as_its_clip(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    run = Run.of("LTX2", checkpoints["LTX2"], tmp_path)
    run.encode()
    run.denoise(steps=2)
    for duration_s in (1.5, 2.5):
        sound(run, duration_s=duration_s)
        with wave.open(str(run.scratch / "sound.wav")) as file:
            assert (file.getnchannels(), file.getframerate()) == (2, 24000)
            assert file.getnframes() == duration_s * 24000


@pytest.mark.parametrize("offload", ["model", "sequential"])
@pytest.mark.parametrize("model", MODELS)
def test_what_waits_in_main_memory_computes_the_same(
    model: str, offload: Any, checkpoints: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU in the GPU's place: layers are fetched all the same."""
    run = Run.of(model, checkpoints[model], tmp_path)
    run.encode()
    run.denoise(steps=2)
    frames, latents = run.frames(chunk_frames=2), run.latents
    waiting = Placement(torch.device("cpu"), torch.float32, offload)
    monkeypatch.setattr(Placement, "of", lambda *_: waiting)
    again = Run.of(model, checkpoints[model], tmp_path)
    again.denoise(steps=2)
    assert all(torch.equal(again.latents[name], latents[name]) for name in latents)
    assert np.array_equal(again.frames(chunk_frames=2), frames)


@pytest.mark.parametrize("model", ["MOCHI1", "WAN"])
def test_a_clip_is_decoded_as_it_is_taken(model: str, checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    """So memory does not grow with its length; LTX-2's decoder looks ahead and cannot do that."""
    run = Run.of(model, checkpoints[model], tmp_path)
    run.encode()
    run.denoise(steps=2)
    decoder = DECODERS[model].load(run.parameters)
    seen: list[int] = []
    decoder.vae.decoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[2]))
    clip = decoder.decode(run.vae_request(chunk_frames=1))
    lengths = []
    for number, chunk in enumerate(clip.chunks, start=1):
        assert seen == [1] * number
        lengths.append(len(chunk))
    assert sum(lengths) == clip.frames == 8
    assert max(lengths) <= decoder.grid.temporal
