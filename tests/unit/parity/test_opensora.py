"""Our Open-Sora, filled through the key map with weights laid out as published, against its authors' own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from einops import rearrange
from torch import Tensor

from tests.support.checkpoints.opensora import write_opensora
from triton_models.modeling.dit import Text
from triton_models.modeling.flow import SamplerState, shifted_schedule
from triton_models.modeling.opensora.captions import cleaned
from triton_models.modeling.opensora.pipeline import OpenSoraPlan, noise_shift, sample
from triton_models.modeling.opensora.stdit3 import Format, STDiT3
from triton_models.modeling.opensora.vae import OpenSoraVAE
from triton_models.modeling.opensora.weights import load_stdit3, load_vae
from triton_models.modeling.shapes import LatentShape, VideoShape
from triton_models.modeling.text import PromptEmbedding

from .golden import assert_parity, golden

SIZES = ["even", "odd", "tall", "frame"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_opensora(tmp_path_factory.mktemp("opensora"))


@pytest.fixture(scope="module")
def stdit3(checkpoint: Path) -> STDiT3:
    return load_stdit3(checkpoint / "stdit3")


@pytest.fixture(scope="module")
def vae(checkpoint: Path) -> OpenSoraVAE:
    return load_vae(checkpoint / "vae")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Tensor]:
    return golden("stdit3")


@pytest.fixture(scope="module")
def recorded_vae() -> dict[str, Tensor]:
    return golden("opensora_vae")


def channels_last(x: Tensor) -> Tensor:
    return rearrange(x, "b c f h w -> b f h w c")


def velocity_of(recorded: Tensor) -> Tensor:
    """The first half of the channels; no sampler looks at the second."""
    return channels_last(recorded.chunk(2, 1)[0])


def forward(stdit3: STDiT3, recorded: dict[str, Tensor], size: str, given: int = 0) -> Tensor:
    height, width, fps = recorded[f"{size}.format"].tolist()
    latent, text = channels_last(recorded[f"{size}.x"]), Text(recorded[f"{size}.text"], recorded[f"{size}.mask"])
    t_BF = recorded[f"{size}.t"][:, None].repeat(1, latent.shape[1])
    t_BF[:, :given] = 0
    velocity: Tensor = stdit3(latent, t_BF, text, Format(height=height, width=width, fps=fps))
    return velocity


@pytest.mark.parametrize("size", SIZES)
def test_the_transformer(stdit3: STDiT3, recorded: dict[str, Tensor], size: str) -> None:
    """Odd sizes are padded and cropped, the texts of a batch differ in length, a clip may be one frame."""
    assert_parity(forward(stdit3, recorded, size), velocity_of(recorded[f"{size}.out"]))


def test_the_transformer_with_a_given_first_frame(stdit3: STDiT3, recorded: dict[str, Tensor]) -> None:
    """What it says of the given frame is thrown away; there the public code normalises twice, and ours does not."""
    ours, theirs = forward(stdit3, recorded, "odd", given=1), velocity_of(recorded["odd.out_given"])
    assert_parity(ours[:, 1:], theirs[:, 1:])


@pytest.mark.parametrize(("held", "end"), [(0, "end"), (1, "end_given")])
def test_sampling_with_guidance(stdit3: STDiT3, recorded: dict[str, Tensor], held: int, end: str) -> None:
    noise = channels_last(recorded["sampling.z"])
    plan = OpenSoraPlan(
        shape=VideoShape(17, 40, 48),
        told=Format(height=400, width=480, fps=24),
        latent=LatentShape._make(noise.shape[1:]),
        timesteps=shifted_schedule(6, noise_shift(5, 400, 480)),
        guidance=7,
    )
    prompt = PromptEmbedding(recorded["sampling.text"], recorded["sampling.mask"])
    *_, state = sample(stdit3, plan, SamplerState(noise, 0, plan.timesteps, "euler", 0), prompt, held=held)
    assert_parity(state.latent, channels_last(recorded[f"sampling.{end}"]))


@pytest.mark.parametrize(
    ("height", "width", "frames", "steps"),
    [(240, 426, 51, 30), (720, 1280, 102, 30), (144, 256, 1, 10), (480, 480, 204, 50)],
)
def test_schedules(recorded_vae: dict[str, Tensor], height: int, width: int, frames: int, steps: int) -> None:
    """The public code counts latent frames as five for each seventeen, and one for a picture."""
    ours = shifted_schedule(steps, noise_shift(max(1, frames // 17 * 5), height, width))
    theirs = recorded_vae[f"schedule_{height}_{width}_{frames}_{steps}"]
    assert_parity(1000 * torch.tensor(ours[:-1]), theirs)


@pytest.mark.parametrize("clip", ["whole", "rest", "short", "frame"])
def test_decoding(vae: OpenSoraVAE, recorded_vae: dict[str, Tensor], clip: str) -> None:
    frames = int(recorded_vae[f"{clip}.frames"])
    assert_parity(vae.decode(channels_last(recorded_vae[f"{clip}.z"]), frames), recorded_vae[f"{clip}.out"])


@pytest.mark.parametrize("clip", ["encode_clip", "encode_frame"])
def test_encoding(vae: OpenSoraVAE, recorded_vae: dict[str, Tensor], clip: str) -> None:
    assert_parity(vae.encode(recorded_vae[f"{clip}.x"]), channels_last(recorded_vae[f"{clip}.out"]))


@pytest.mark.parametrize(
    ("caption", "expected"), json.loads(Path(__file__).with_name("opensora_captions.json").read_text())
)
def test_captions_are_cleaned(caption: str, expected: str) -> None:
    assert cleaned(caption) == expected
