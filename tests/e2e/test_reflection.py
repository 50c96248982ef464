"""Every service can be explored and called by reflection, as grpcurl and buf curl do."""

from __future__ import annotations

import json
import subprocess

import pytest

from deploy.local.home import SERVICES
from deploy.local.servers.wheels import script
from tests.support.mesh import RunningMesh

OWN_SERVICES = {
    "billing": {"kinemesh.billing.v1.BillingService", "kinemesh.billing.v1.AccountService"},
    "safety": {"kinemesh.safety.v1.SafetyService"},
    "orchestrator": {
        "kinemesh.video.v1.VideoService",
        "kinemesh.video.v1.WebhookService",
        "kinemesh.orchestrator.v1.JobService",
    },
    "encoder": {"kinemesh.encoder.v1.EncoderService"},
    "scheduler": {"kinemesh.scheduler.v1.SchedulerService", "kinemesh.scheduler.v1.WorkerService"},
    "transcoder": {"kinemesh.transcoder.v1.TranscoderService"},
}


def buf_curl(address: str, *arguments: str) -> str:
    command = [str(script("buf")), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
    url = command.pop() if arguments[-1].startswith("http") else f"http://{address}"
    result = subprocess.run([*command, url], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_lists_itself_and_answers_its_health(mesh: RunningMesh, service: str) -> None:
    address = mesh.home.address(service)
    listed = set(buf_curl(address, "--list-services").split())
    assert OWN_SERVICES[service] | {"grpc.health.v1.Health"} <= listed
    answer = buf_curl(address, "--data", "{}", f"http://{address}/grpc.health.v1.Health/Check")
    assert json.loads(answer) == {"status": "SERVING"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_debug_listener_reaches_every_service(mesh: RunningMesh, service: str) -> None:
    choice = ("--reflect-header", f"x-service: {service}")
    listed = buf_curl(mesh.home.address("debug"), *choice, "--list-services").split()
    assert OWN_SERVICES[service] <= set(listed)
