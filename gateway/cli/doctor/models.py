"""Whether somebody offers what is deployed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.cli.client import CALL_TIMEOUT_S, ApiError, connect
from gateway.cli.doctor.finding import Finding, ok, warning
from kinemesh.scheduler.v1.scheduler_service_pb2 import ListWorkersRequest
from kinemesh.scheduler.v1.worker_pb2 import WORKER_STATUS_OFFLINE
from kinemesh.video.v1.video_service_pb2 import DeployedModel, ListModelsRequest


def check_models(url: str, token: str) -> Iterator[Finding]:
    """Asks a gateway that is known to answer; jobs of a model that no worker offers wait."""
    try:
        with connect(url, token) as client:
            who = client.metadata
            deployed = client.videos.ListModels(ListModelsRequest(), timeout=CALL_TIMEOUT_S, metadata=who).models
            workers = client.workers.ListWorkers(ListWorkersRequest(), timeout=CALL_TIMEOUT_S, metadata=who).workers
    except ApiError as error:
        yield warning("models", f"not known: {error.code}", "look at the services' logs")
        return
    offered = {name for worker in workers if worker.status != WORKER_STATUS_OFFLINE for name in worker.models}
    yield from judge(deployed, offered)


def judge(deployed: Iterable[DeployedModel], offered: set[str]) -> Iterator[Finding]:
    """Compares."""
    missing = [model for model in deployed if model.name not in offered]
    if not missing:
        yield ok("models", f"all deployed ones are offered: {', '.join(sorted(offered))}")
    for model in missing:
        needs = "the provider's key, or the provider is down" if model.backend == "provider" else "the weights"
        remedy = f"its worker lacks {needs}: the worker's log says which setting"
        yield warning("models", f"no worker offers {model.name}", remedy)
