"""The doctor names what is wrong, and finds nothing wrong with what is well."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import EXIT_FAULT, app
from gateway.cli.doctor import machine
from gateway.cli.doctor.mesh import LocalMesh, check_gateway
from gateway.cli.doctor.models import judge
from kinemesh.video.v1.video_service_pb2 import DeployedModel


def test_this_environment_is_well() -> None:
    assert machine.check_python().verdict == "ok"
    assert [finding.verdict for finding in machine.check_wheels()] == ["ok", "ok"]
    assert machine.check_weights().verdict == "ok"


def test_another_python_is_a_fault() -> None:
    finding = machine.check_python((3, 13, 1))
    assert (finding.verdict, finding.detail) == ("fault", "3.13.1 instead of 3.11")


def test_missing_and_other_wheels_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    required = [
        "no-such-library>=2",
        "pyyaml>=6",
        'pyyaml==1.2; extra == "servers"',
        'no-such-server==1; extra == "servers"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: required)
    libraries, pinned = machine.check_wheels()
    assert (libraries.verdict, libraries.detail) == ("fault", "missing: no-such-library")
    assert pinned.verdict == "fault"
    assert "pyyaml" in pinned.detail
    assert "no-such-server missing instead of 1" in pinned.detail


@pytest.mark.parametrize(("free_gib", "verdict"), [(0.5, "fault"), (3, "warning"), (50, "ok")])
def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_gib: float, verdict: str) -> None:
    usage = shutil._ntuple_diskusage(2**40, 0, int(free_gib * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert machine.check_disk(tmp_path / "not" / "there").verdict == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("MemAvailable:    8388608 kB\n", "ok"), ("MemAvailable:    1048576 kB\n", "warning"), ("", "skipped")],
)
def test_memory(tmp_path: Path, text: str, verdict: str) -> None:
    (tmp_path / "meminfo").write_text(text)
    assert machine.check_memory(tmp_path / "meminfo").verdict == verdict


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None])
def test_damaged_weights_are_named(tmp_path: Path, content: bytes | None) -> None:
    whole = (machine.WEIGHTS / "text.safetensors").read_bytes()
    (tmp_path / "text.safetensors").write_bytes(whole)
    assert machine.check_weights(tmp_path).verdict == "ok"
    (tmp_path / "other.safetensors").write_bytes(whole[:-1] if content is None else content)
    finding = machine.check_weights(tmp_path)
    assert (finding.verdict, finding.detail) == ("fault", "damaged: other.safetensors")


def test_no_weights_are_a_fault(tmp_path: Path) -> None:
    assert machine.check_weights(tmp_path).verdict == "fault"


def test_the_weights_of_other_models_are_named_and_looked_at(tmp_path: Path) -> None:
    entries = {"WAN": {"weights": "wan"}, "LTX2": {"weights": "ltx2"}, "VEO3": {"provider": "vertex_veo"}}
    (tmp_path / "models.yaml").write_text(json.dumps({"models": entries}))
    assert machine.check_models(tmp_path / "models.yaml").detail == "weights of none; not here: LTX2, WAN"
    (tmp_path / "wan" / "vae").mkdir(parents=True)
    assert machine.check_models(tmp_path / "models.yaml").detail == "damaged: WAN (no weights)"
    whole = (machine.WEIGHTS / "text.safetensors").read_bytes()
    (tmp_path / "wan" / "vae" / "model.safetensors").write_bytes(whole)
    assert machine.check_models(tmp_path / "models.yaml").detail == "weights of WAN; not here: LTX2"
    (tmp_path / "wan" / "vae" / "model.safetensors").write_bytes(whole[:-1])
    finding = machine.check_models(tmp_path / "models.yaml")
    assert (finding.verdict, finding.detail) == ("fault", "damaged: WAN model.safetensors")


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = machine.check_ports({"gateway": taken.getsockname()[1]})
    assert finding.verdict == "fault"
    assert "(gateway)" in finding.detail


def _mesh(directory: Path, *records: dict[str, object]) -> LocalMesh:
    processes = {f"p{index}": {"restarts": 0, **record} for index, record in enumerate(records)}
    (directory / "mesh.json").write_text(json.dumps({"phase": "ready", "processes": processes}))
    return LocalMesh.read(directory)


def test_processes(tmp_path: Path) -> None:
    alive, dead = os.getpid(), 2**22 + 1
    assert LocalMesh.read(tmp_path).check_processes().verdict == "skipped"
    well = {"state": "ready", "pid": alive}
    assert _mesh(tmp_path, well, well).check_processes().verdict == "ok"
    assert _mesh(tmp_path, well, {**well, "restarts": 2}).check_processes().verdict == "warning"
    ill: list[dict[str, object]] = [{"state": "crashed", "pid": None}, {"state": "ready", "pid": dead}]
    for broken in ill:
        finding = _mesh(tmp_path, well, broken).check_processes()
        assert finding.verdict == "fault"
        assert "p1" in finding.detail
    assert not _mesh(tmp_path, {"state": "ready", "pid": dead}, {"state": "stopped", "pid": alive}).running


def test_a_gateway_that_is_not_there() -> None:
    (finding,) = check_gateway("http://127.0.0.1:1", "token")
    assert finding.verdict == "fault"
    assert "does not answer" in finding.detail


def test_a_model_that_nobody_offers_is_named_with_what_it_may_lack() -> None:
    deployed = [DeployedModel(name="REFERENCE", backend="triton"), DeployedModel(name="SORA", backend="provider")]
    assert [finding.verdict for finding in judge(deployed, {"REFERENCE", "SORA"})] == ["ok"]
    (finding,) = judge(deployed, {"REFERENCE"})
    assert (finding.verdict, finding.detail) == ("warning", "no worker offers SORA")
    assert "key" in finding.remedy


def test_faults_have_an_exit_code_of_their_own_and_a_json_form() -> None:
    answer = CliRunner().invoke(app, ["--url", "http://127.0.0.1:1", "--token", "t", "doctor", "--json"])
    assert answer.exit_code == EXIT_FAULT
    report = json.loads(answer.output)
    assert report["well"] is False
    assert [finding["check"] for finding in report["findings"]] == ["python", "gateway"]


def test_every_command_has_a_json_form() -> None:
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        assert "--json" in CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output, name
