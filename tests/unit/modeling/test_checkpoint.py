import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from triton_models.modeling.checkpoint import CheckpointError, Origin, manifest_path, read_checkpoint, write_checkpoint
from triton_models.modeling.flow import SamplerState, initial_state, shifted_schedule

ORIGIN = Origin(model_digest="model", engine_hash="engine", request_digest="request")
STATE = replace(initial_state((1, 2, 4, 4, 16), 2**63 + 5, shifted_schedule(5, 4), "heun"), step=3)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "step_3.safetensors"
    write_checkpoint(path, STATE, ORIGIN)
    return path


def equal(a: SamplerState, b: SamplerState) -> bool:
    return torch.equal(a.latent, b.latent) and replace(a, latent=b.latent) == b


def test_a_checkpoint_round_trips_to_the_bit(written: Path) -> None:
    assert equal(read_checkpoint(written, ORIGIN), STATE)
    assert sorted(file.name for file in written.parent.iterdir()) == ["step_3.json", "step_3.safetensors"]


def test_all_that_is_carried_round_trips_too(tmp_path: Path) -> None:
    carried = {"audio_latent": torch.randn(1, 3, 8), "solver.orders": torch.tensor([2, 1])}
    write_checkpoint(tmp_path / "s.safetensors", replace(STATE, carried=carried, solver="unipc"), ORIGIN)
    read = read_checkpoint(tmp_path / "s.safetensors", ORIGIN)
    assert read.solver == "unipc"
    assert {name: tensor.tolist() for name, tensor in read.carried.items()} == {
        name: tensor.tolist() for name, tensor in carried.items()
    }


def test_the_manifest_says_what_is_left(written: Path) -> None:
    manifest = json.loads(manifest_path(written).read_text())
    assert manifest["step_number"] == 3
    assert manifest["total_steps"] == 5
    assert manifest["sigma_current"] == pytest.approx(STATE.timesteps[3])
    assert manifest["size_bytes"] == written.stat().st_size


@pytest.mark.parametrize("field", ["model_digest", "engine_hash", "request_digest"])
def test_another_model_engine_or_request_is_refused(written: Path, field: str) -> None:
    with pytest.raises(CheckpointError, match=f"another {field.partition('_')[0]}"):
        read_checkpoint(written, replace(ORIGIN, **{field: "other"}))


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_disk_that_does_not_take_it_leaves_nothing_and_what_was_there(
    written: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = {file.name: file.read_bytes() for file in written.parent.iterdir()}

    def fail(*args: object) -> None:
        raise OSError(errno.EIO if call == "fsync" else errno.ENOSPC, "the disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="the disk"):
            write_checkpoint(written.with_name("step_4.safetensors"), STATE, ORIGIN)
    after = {file.name: file.read_bytes() for file in written.parent.iterdir() if "step_4" not in file.name}
    assert after == before
    assert not list(written.parent.glob("*.partial"))


def test_damage_is_refused(written: Path) -> None:
    blob = bytearray(written.read_bytes())
    blob[-1] ^= 1
    written.write_bytes(blob)
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(written, ORIGIN)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', "[1]"])
def test_a_broken_manifest_is_refused(written: Path, text: str) -> None:
    manifest_path(written).write_text(text)
    with pytest.raises(CheckpointError, match="manifest"):
        read_checkpoint(written, ORIGIN)


def test_missing_files_are_refused(written: Path) -> None:
    written.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(written, ORIGIN)
    with pytest.raises(CheckpointError, match="manifest"):
        read_checkpoint(written.with_name("none.safetensors"), ORIGIN)
