"""REFERENCE and OPENSORA on a device that is not the CPU: one that any machine has, and a GPU where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from services.common.catalogue import TritonModel, load_catalogue
from tests.support.catalogue import reference_at, write_catalogue
from tests.support.checkpoints.opensora import opensora_entry, write_opensora
from tests.support.elsewhere import second_device
from triton_models.modeling.engine import CPU
from triton_models.modeling.pipeline import decode, plan_generation, stream
from triton_models.modeling.reference import load_reference
from triton_models.modeling.speech.talker import Talker
from triton_models.serving import denoiser
from triton_models.serving import parameters as settings
from triton_models.serving.audio import AudioEngine, Sound
from triton_models.serving.decoder import Decoder, DecoderEngine
from triton_models.serving.denoiser import Denoiser, DenoiserEngine
from triton_models.serving.errors import CheckpointRefused
from triton_models.serving.files import read_latents
from triton_models.serving.opensora import OpenSoraDecoder, OpenSoraDenoiser
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.reference import ReferenceDecoder, ReferenceDenoiser
from triton_models.serving.reference_sound import ReferenceSoundMaker
from triton_models.serving.requests import AudioRequest, parse

WEIGHTS = Path(__file__).parents[3] / "triton_models" / "weights" / "reference"
PROMPT = 'a woman says "hello mum" to a red ball'
GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; here is none")],
)


@dataclass(frozen=True)
class Family:
    """Models of one architecture, and a clip that they can make."""

    parameters: ModelParameters
    denoiser: Callable[[ModelParameters], Denoiser]
    decoder: Callable[[ModelParameters], Decoder]
    clip: dict[str, Any]
    text: tuple[int, int]
    """Tokens of the prompt, and their width."""

    def on(self, device: str, **changes: Any) -> Family:
        """The same on another device, and with changes to the entry."""
        entry = self.parameters.entry.model_copy(update=changes)
        return replace(self, parameters=replace(self.parameters, device=device, entry=entry))

    def request(self, **changes: Any) -> str:
        """Asks for the latents of a clip that begins with a picture and is made after another, against a negative."""
        scratch, rng = self.parameters.scratch_dir, np.random.default_rng(2)
        text = torch.from_numpy(rng.standard_normal(self.text, np.float32))
        mask = torch.ones(len(text))
        prompts = {"text_embeddings": text, "negative_embeddings": text.flip(0)[1:].contiguous()}
        save_file({**prompts, "text_mask": mask, "negative_mask": mask[1:].clone()}, scratch / "embeddings")
        frames = torch.from_numpy(rng.integers(0, 256, (9, 60, 90, 3), dtype=np.uint8))
        save_file({"frames": frames, "picture": frames[0].clone()}, scratch / "pixels")
        given = {name: str(scratch / "pixels") for name in ("first_frame", "reference")}
        names = {"embeddings": "embeddings", "checkpoint_dir": "checkpoints", "stop_file": "stop", "output": "latents"}
        files = {name: str(scratch / file) for name, file in names.items()}
        sampling = {"steps": 4, "guidance": 2, "seed": 5, "strength": 0.8, "checkpoint_every": 1, "preview_every": 1}
        return json.dumps(self.clip | given | files | sampling | changes)

    def latents(self, **changes: Any) -> tuple[Tensor, list[str]]:
        """Makes the clip's latents; returns them and the paths of its checkpoints."""
        engine = DenoiserEngine.load(self.parameters, self.denoiser)
        messages = list(engine.run(self.request(**changes)))
        paths = [written["path"] for message in messages for written in message.get("checkpoints", [])]
        return read_latents(self.parameters.scratch_dir / "latents"), paths

    def frames(self) -> NDArray[np.uint8]:
        """Decodes the latents that were made last."""
        scratch = self.parameters.scratch_dir
        spoken = {"spoken": {"prompt": PROMPT, "seed": 5}}
        files = {"latents": str(scratch / "latents"), "output_dir": str(scratch / "frames")}
        messages = DecoderEngine.load(self.parameters, self.decoder).run(json.dumps(self.clip | spoken | files))
        chunks = [np.fromfile(message["path"], np.uint8) for message in messages if message["type"] == "chunk"]
        return np.concatenate(chunks)

    def sound(self) -> Sound:
        """Makes the sound of the latents that were made last."""
        scratch = self.parameters.scratch_dir
        files = {name: str(scratch / name) for name in ("embeddings", "latents")}
        asked = {"prompt": PROMPT, "seed": 5, "output": str(scratch / "sound")}
        asked |= dict.fromkeys(("include_speech", "include_music", "include_ambient"), True)
        clip = {name: self.clip[name] for name in ("aspect_ratio", "duration_s")}
        engine = AudioEngine.load(self.parameters, ReferenceSoundMaker.load)
        *_, sound = engine.maker.make(parse(AudioRequest, json.dumps(clip | files | asked), scratch))
        assert isinstance(sound, Sound)
        return sound


@pytest.fixture(params=["elsewhere", GPU])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """What the setting `cuda` means."""
    if request.param == "cuda":
        return torch.device("cuda")
    monkeypatch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
    for module in (denoiser, settings):
        monkeypatch.setattr(module, "choose_device", {"cuda": second_device(), "cpu": CPU}.__getitem__)
    return second_device()


@pytest.fixture
def reference(tmp_path: Path) -> Family:
    """Six seconds, so that time is seen through a sliding window."""
    parameters = ModelParameters(reference_at(WEIGHTS), tmp_path, 1)
    clip = {"tier": "STANDARD", "aspect_ratio": "1:1", "duration_s": 6}
    return Family(parameters, ReferenceDenoiser.load, ReferenceDecoder.load, clip, (22, 96))


@pytest.fixture
def opensora(tmp_path: Path) -> Family:
    weights = write_opensora(tmp_path / "weights")
    parameters = ModelParameters(opensora_at(weights, tmp_path), tmp_path, 1)
    clip = {"tier": "STANDARD", "aspect_ratio": "16:9", "duration_s": 1}
    return Family(parameters, OpenSoraDenoiser.load, OpenSoraDecoder.load, clip, (7, 32))


def opensora_at(weights: Path, directory: Path) -> TritonModel:
    return load_catalogue(write_catalogue(directory, weights, OPENSORA=opensora_entry(weights))).triton_models[
        "OPENSORA"
    ]


def assert_made_alike(family: Family) -> None:
    """A clip that is made on the device is nearly the CPU's, and goes on from a checkpoint to the same bits."""
    here, there = family.on("cpu", precision="float32"), family.on("cuda", precision="float32")
    wanted, _ = here.latents()
    pixels = here.frames()
    made, checkpoints = there.latents()
    torch.testing.assert_close(made, wanted, atol=1e-3, rtol=1e-3)
    assert np.abs(there.frames().astype(int) - pixels).max() <= 2
    assert torch.equal(there.latents(resume=checkpoints[-1])[0], made)


@pytest.mark.usefixtures("device")
def test_a_clip_of_reference_is_that_of_the_cpu(reference: Family) -> None:
    assert_made_alike(reference)


@pytest.mark.usefixtures("device")
def test_a_clip_of_opensora_is_that_of_the_cpu(opensora: Family) -> None:
    assert_made_alike(opensora)


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("name", ["reference", "opensora"])
def test_half_precision_resumes_to_the_same_bits(name: str, request: pytest.FixtureRequest) -> None:
    family: Family = request.getfixturevalue(name).on("cuda", precision="bfloat16")
    made, checkpoints = family.latents()
    assert torch.equal(family.latents(resume=checkpoints[0])[0], made)


@pytest.mark.usefixtures("device")
def test_the_networks_are_healthy(reference: Family, opensora: Family) -> None:
    for family in (reference.on("cuda"), opensora.on("cuda")):
        assert family.denoiser(family.parameters).probe()
        assert family.decoder(family.parameters).probe()
    assert ReferenceSoundMaker.load(reference.on("cuda").parameters).probe()


@pytest.mark.usefixtures("device")
def test_a_sound_is_that_of_the_cpu(reference: Family) -> None:
    here, there = reference.on("cpu"), reference.on("cuda")
    here.latents()
    wanted, made = here.sound(), there.sound()
    assert made.record["speech"]["phonemes"] == wanted.record["speech"]["phonemes"]
    assert made.record["ambience"] == wanted.record["ambience"]
    assert np.corrcoef(made.waveform.ravel(), wanted.waveform.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    "load",
    [
        ReferenceDenoiser.load,
        ReferenceDecoder.load,
        ReferenceSoundMaker.load,
        OpenSoraDenoiser.load,
        OpenSoraDecoder.load,
    ],
)
def test_networks_do_not_wait_elsewhere(load: Callable[[ModelParameters], object], reference: Family) -> None:
    with pytest.raises(ValueError, match="offload: sequential is not for this model"):
        load(reference.on("cpu", offload="sequential").parameters)


def test_precision_is_the_entrys_where_it_says_one(reference: Family) -> None:
    """And a checkpoint of one precision is not resumed in another."""
    half, single = reference.on("cpu").latents(), reference.on("cpu", precision="float32").latents()
    assert torch.equal(reference.on("cpu", precision="bfloat16").latents()[0], half[0])
    assert not torch.equal(single[0], half[0])
    with pytest.raises(CheckpointRefused, match="another request"):
        reference.on("cpu", precision="float32").latents(resume=half[1][0])


def test_lips_are_moved_as_on_the_cpu(device: torch.device) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (3, 80, 80, 3), dtype=np.uint8)
    shapes = np.array([[0.1, 0.4], [0.9, 0.5], [0.5, 0.2]])
    here, there = (Talker.find(WEIGHTS, where).refiner for where in (CPU, device))
    assert here is not None
    assert there is not None
    assert there.shows_face(frames) == here.shows_face(frames)
    assert np.abs(there.refined(frames, shapes).astype(int) - here.refined(frames, shapes)).max() <= 1


def test_a_stream_is_that_of_the_cpu(device: torch.device) -> None:
    """From a prompt to frames, with the memory of the stream on the device."""
    made = []
    for where in (CPU, device):
        model = load_reference(WEIGHTS, where, "float32")
        plan = plan_generation(model.config, tier="REALTIME", aspect_ratio="1:1", duration_s=2, steps=2, guidance=2)
        prompt = model.text.encode("a red ball")
        made.append(torch.cat(list(stream(model, plan, 7, prompt)), 1))
        assert next(decode(model, plan, made[-1])).dtype == np.uint8
    torch.testing.assert_close(made[1], made[0], atol=1e-3, rtol=1e-3)
