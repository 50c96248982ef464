"""Requests to the models: fields, ranges, and paths that must stay inside the scratch directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from triton_models.serving.errors import InvalidRequest
from triton_models.serving.requests import AudioRequest, DitRequest, VaeRequest, is_probe, parse


def vae_request(scratch: Path, **changes: Any) -> str:
    fields = {
        "tier": "STANDARD",
        "aspect_ratio": "16:9",
        "duration_s": 5,
        "latents": str(scratch / "latents.safetensors"),
        "output_dir": str(scratch / "chunks"),
        **changes,
    }
    return json.dumps(fields)


def test_a_complete_request_is_read(tmp_path: Path) -> None:
    request = parse(VaeRequest, vae_request(tmp_path), tmp_path)
    assert request.latents == tmp_path / "latents.safetensors"
    assert request.chunk_frames == 4


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"tier": 1}'])
def test_text_that_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^INVALID_REQUEST: "):
        parse(VaeRequest, text, tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("duration_s", 0), ("duration_s", 61), ("duration_s", "NaN"), ("chunk_frames", 0), ("unknown", 1)],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=field):
        parse(VaeRequest, vae_request(tmp_path, **{field: value}), tmp_path)


def test_the_error_does_not_repeat_the_prompt(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(AudioRequest, json.dumps({"prompt": ["a secret prompt"]}), tmp_path)
    assert "prompt" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_paths_outside_the_scratch_directory_are_refused(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "scratch-twin").mkdir()
    (scratch / "link").symlink_to(tmp_path)
    for path in ("/etc/passwd", "relative", f"{scratch}/../x", f"{scratch}/link/x", f"{tmp_path}/scratch-twin/x"):
        with pytest.raises(InvalidRequest, match=r"output_dir.*scratch directory"):
            parse(VaeRequest, vae_request(scratch, output_dir=path), scratch)


def test_a_checkpoint_to_resume_from_may_be_absent_but_not_elsewhere(tmp_path: Path) -> None:
    fields = json.loads(vae_request(tmp_path)) | {
        name: str(tmp_path / name) for name in ("embeddings", "checkpoint_dir", "stop_file", "output")
    }
    del fields["latents"], fields["output_dir"]
    fields |= {"steps": 50, "guidance": 3, "seed": 2**63 - 1, "checkpoint_every": 0}
    assert parse(DitRequest, json.dumps(fields), tmp_path).resume is None
    with pytest.raises(InvalidRequest, match="resume"):
        parse(DitRequest, json.dumps(fields | {"resume": "/etc/passwd"}), tmp_path)
    with pytest.raises(InvalidRequest, match="seed"):
        parse(DitRequest, json.dumps(fields | {"seed": 2**63}), tmp_path)


def test_only_a_probe_is_a_probe() -> None:
    assert is_probe('{"probe": true}')
    assert not is_probe('{"probe": false}')
    assert not is_probe('{"probe": true, "steps": 1}')
    assert not is_probe("nonsense")
