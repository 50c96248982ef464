"""The installed command against the gateway: what it prints, and how it exits."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.ports import free_port
from kinemesh.video.v1.video_service_pb2 import VideoError
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.services import KNOWN_ID, known_video

pytestmark = pytest.mark.integration

COMMAND = Path(sys.executable).with_name("kinemesh")


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    printed: str
    errors: str


async def _run(*arguments: str, **variables: str) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *arguments,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    return Outcome(process.returncode or 0, printed.decode(), errors.decode())


@pytest.fixture
def access(gateway: Gateway) -> dict[str, str]:
    """Where the gateway is and who calls, as its users tell the command."""
    gateway.videos.known = known_video()
    return {"KINEMESH_URL": gateway.url, "KINEMESH_TOKEN": gateway.token("terminal")}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("get", KNOWN_ID), "request_id"),
        (("watch", KNOWN_ID), "request_id"),
        (("list", "--limit", "3"), "total"),
        (("workers",), "workers"),
        (("account",), "user_id"),
    ],
)
async def test_json_is_all_that_is_printed_for_programs(
    access: dict[str, str], arguments: tuple[str, ...], field: str
) -> None:
    outcome = await _run(*arguments, "--json", **access)
    assert (outcome.status, outcome.errors) == (0, "")
    assert field in json.loads(outcome.printed)


async def test_watching_shows_progress_to_people(access: dict[str, str]) -> None:
    outcome = await _run("watch", KNOWN_ID, **access)
    assert outcome.status == 0
    assert "100%" in outcome.printed
    assert "COMPLETED" in outcome.printed


@pytest.mark.parametrize("arguments", [("watch", KNOWN_ID), ("generate", "a")])
async def test_a_video_that_failed_is_printed_for_programs_too(
    gateway: Gateway, access: dict[str, str], arguments: tuple[str, ...]
) -> None:
    gateway.videos.known = known_video(status="FAILED", error=VideoError(code="GENERATION_FAILED"))
    outcome = await _run(*arguments, "--json", **access)
    assert outcome.status == 4
    assert json.loads(outcome.printed)["error"]["code"] == "GENERATION_FAILED"
    assert "GENERATION_FAILED" in outcome.errors


@pytest.mark.parametrize(
    ("options", "sound"),
    [((), True), (("--model", "cinema"), True), (("--model", "wan"), False), (("--no-audio",), False)],
)
async def test_sound_is_asked_for_where_the_model_makes_any(
    gateway: Gateway, access: dict[str, str], options: tuple[str, ...], sound: bool
) -> None:
    assert (await _run("generate", "poor", *options, **access)).status == 3
    assert gateway.videos.asked.enable_audio == gateway.videos.asked.HasField("audio_config") == sound


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("get", "unknown"), 3, "VIDEO_NOT_FOUND"),
        (("cancel", KNOWN_ID), 3, "VIDEO_ALREADY_FINISHED"),
        (("generate", "poor"), 3, "INSUFFICIENT_CREDITS"),
        (("get",), 2, "Missing argument"),
        (("dance",), 2, "No such command"),
    ],
)
async def test_a_refusal_is_told_by_its_code_and_by_the_exit_status(
    access: dict[str, str], arguments: tuple[str, ...], status: int, said: str
) -> None:
    outcome = await _run(*arguments, **access)
    assert (outcome.status, outcome.printed) == (status, "")
    assert said in outcome.errors


async def test_a_mesh_that_cannot_be_reached_is_told_from_one_that_refuses(access: dict[str, str]) -> None:
    nobody = await _run("account", **{**access, "KINEMESH_URL": f"http://127.0.0.1:{free_port()}"})
    stranger = await _run("account", **{**access, "KINEMESH_TOKEN": "none"})
    assert (nobody.status, stranger.status) == (5, 3)
    assert "UNAUTHENTICATED" in stranger.errors


async def test_the_doctor_finds_a_fault_and_says_so_by_its_exit_status(access: dict[str, str]) -> None:
    well = await _run("doctor", "--json", **access)
    ill = await _run("doctor", "--json", **{**access, "KINEMESH_TOKEN": "none"})
    assert (well.status, ill.status) == (0, 6)
    assert "fault" in {finding["verdict"] for finding in json.loads(ill.printed)["findings"]}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_shells_are_taught_to_complete_it(shell: str) -> None:
    outcome = await _run("--show-completion", shell)
    assert outcome.status == 0
    assert "_KINEMESH_COMPLETE" in outcome.printed
