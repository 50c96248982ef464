import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from triton_models.modeling.checkpoint import CheckpointError, manifest_path, read_checkpoint, write_checkpoint
from triton_models.modeling.flow import SamplerState, initial_state, shifted_schedule

STATE = replace(initial_state((1, 2, 4, 4, 16), 2**63 + 5, shifted_schedule(5, 4), "heun"), step=3)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "step_3.safetensors"
    write_checkpoint(path, STATE, "model", "request")
    return path


def equal(a: SamplerState, b: SamplerState) -> bool:
    return torch.equal(a.latent, b.latent) and replace(a, latent=b.latent) == b


def test_a_checkpoint_round_trips_to_the_bit(written: Path) -> None:
    assert equal(read_checkpoint(written, "model", "request"), STATE)
    assert sorted(file.name for file in written.parent.iterdir()) == ["step_3.json", "step_3.safetensors"]


def test_the_manifest_says_what_is_left(written: Path) -> None:
    manifest = json.loads(manifest_path(written).read_text())
    assert manifest["step_number"] == 3
    assert manifest["total_steps"] == 5
    assert manifest["sigma_current"] == pytest.approx(STATE.timesteps[3])
    assert manifest["size_bytes"] == written.stat().st_size


@pytest.mark.parametrize(("model", "request_"), [("other", "request"), ("model", "other")])
def test_another_model_or_request_is_refused(written: Path, model: str, request_: str) -> None:
    with pytest.raises(CheckpointError, match="another"):
        read_checkpoint(written, model, request_)


def test_damage_is_refused(written: Path) -> None:
    blob = bytearray(written.read_bytes())
    blob[-1] ^= 1
    written.write_bytes(blob)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(written, "model", "request")


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', "[1]"])
def test_a_broken_manifest_is_refused(written: Path, text: str) -> None:
    manifest_path(written).write_text(text)
    with pytest.raises(CheckpointError, match="manifest"):
        read_checkpoint(written, "model", "request")


def test_missing_files_are_refused(written: Path) -> None:
    written.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(written, "model", "request")
    with pytest.raises(CheckpointError, match="manifest"):
        read_checkpoint(written.with_name("none.safetensors"), "model", "request")
