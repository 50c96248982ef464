"""What can end the work on a job, besides the loss of its lease."""

from __future__ import annotations

from kinemesh.orchestrator.v1 import job_service_pb2


class GivenBackError(Exception):
    """The job goes back to the queue, unharmed."""

    def __init__(self, reason: job_service_pb2.RequeueReason.ValueType) -> None:
        super().__init__(job_service_pb2.RequeueReason.Name(reason))
        self.reason = reason


class ProviderUnavailableError(GivenBackError):
    """The provider behind the job's model takes no work now."""

    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__(job_service_pb2.REQUEUE_REASON_PROVIDER_UNAVAILABLE)
        self.retry_after_s = retry_after_s
        """When it wants to be asked again; None where it does not say."""


class ModelFailedError(Exception):
    """A model answered with an error of its own, "REASON: message"."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason

    @property
    def retriable(self) -> bool:
        """Whether the same request may succeed on another attempt."""
        return self.reason != "INVALID_REQUEST"


class ModelBrokenError(Exception):
    """The model's process is dead, stuck or not loaded: it must be loaded again before it can answer."""


class TritonUnavailableError(Exception):
    """Triton itself does not answer."""
