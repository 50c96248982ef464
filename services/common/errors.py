"""Errors a service may answer, by gRPC status.

    ServiceError
      InvalidArgument       400   PayloadTooLarge 413
      Unauthenticated       401
      PermissionDenied      403
      NotFound              404   RouteNotFound 404 (UNIMPLEMENTED)
      FailedPrecondition    400   PaymentRequired 402, Conflict 409, ContentBlocked 451
                                  UpgradeRequired 426
      AlreadyExists         409
      Aborted               409
      Cancelled             499
      ResourceExhausted     429
      Unavailable           503
      DeadlineExceeded      504
      DataLoss              500
      Internal              500

`reason` is a value of kinemesh.common.v1.ErrorReason without its prefix; clients test it, never the text. `message` is
public: it must not contain prompts, secrets or internals.
"""

# The names follow the gRPC statuses, which have no suffix.
# ruff: noqa: N818

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from grpc import StatusCode

_RETRIABLE = {StatusCode.UNAVAILABLE, StatusCode.ABORTED, StatusCode.RESOURCE_EXHAUSTED, StatusCode.DEADLINE_EXCEEDED}


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that is wrong."""

    field: str
    """Path of the field as the client wrote it, e.g. "audio_config.include_music"."""
    description: str
    """What is wrong with it."""


class ServiceError(Exception):
    """An error with a public text and a machine-readable reason.

    Args:
        reason: ErrorReason without its prefix, e.g. "FENCED".
        message: One public sentence.
        title: Overrides the short title of the class in the JSON body, e.g. "Cannot cancel".
        status: The job's status, where the answer names it.
        violations: Fields that are wrong.
        retry_after_s: Seconds after which a repetition makes sense.
        metadata: Everything dynamic in the message, for machines.
    """

    code: ClassVar[StatusCode] = StatusCode.INTERNAL
    http_code: ClassVar[int] = 500
    default_title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        title: str | None = None,
        status: str | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        **metadata: object,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.title = title or self.default_title
        self.status = status
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.metadata = {key: str(value) for key, value in metadata.items()}

    @property
    def retriable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.code in _RETRIABLE

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class InvalidArgument(ServiceError):
    """The request is wrong whatever the system's state."""

    code = StatusCode.INVALID_ARGUMENT
    http_code = 400
    default_title = "Invalid request"

    @classmethod
    def of_fields(cls, *violations: FieldViolation, reason: str = "INVALID_FIELD") -> InvalidArgument:
        """Names every wrong field, in the message too."""
        return cls(reason, "; ".join(f"{v.field}: {v.description}" for v in violations), violations=violations)

    @classmethod
    def of_field(cls, field: str, description: str, *, reason: str = "INVALID_FIELD") -> InvalidArgument:
        """Names the one wrong field."""
        return cls.of_fields(FieldViolation(field, description), reason=reason)


class PayloadTooLarge(InvalidArgument):
    """The body is larger than accepted."""

    http_code = 413
    default_title = "Payload too large"


class Unauthenticated(ServiceError):
    """Nobody is named as the caller."""

    code = StatusCode.UNAUTHENTICATED
    http_code = 401
    default_title = "Unauthorized"


class PermissionDenied(ServiceError):
    """The caller is known and may not."""

    code = StatusCode.PERMISSION_DENIED
    http_code = 403
    default_title = "Forbidden"


class NotFound(ServiceError):
    """No such thing, or not the caller's."""

    code = StatusCode.NOT_FOUND
    http_code = 404
    default_title = "Not found"


class RouteNotFound(ServiceError):
    """No such method."""

    code = StatusCode.UNIMPLEMENTED
    http_code = 404
    default_title = "Not found"


class FailedPrecondition(ServiceError):
    """The system is not in the state the call needs; repeating does not help."""

    code = StatusCode.FAILED_PRECONDITION
    http_code = 400
    default_title = "Precondition failed"


class PaymentRequired(FailedPrecondition):
    """Too few credits."""

    http_code = 402
    default_title = "Payment required"


class Conflict(FailedPrecondition):
    """The resource's state forbids the call; `status` names it."""

    http_code = 409
    default_title = "Conflict"


class ContentBlocked(FailedPrecondition):
    """The content policy forbids it."""

    http_code = 451
    default_title = "Content blocked"


class UpgradeRequired(FailedPrecondition):
    """The protocol asked with is not the one that is spoken here."""

    http_code = 426
    default_title = "Upgrade required"


class AlreadyExists(ServiceError):
    """The key is taken by something else."""

    code = StatusCode.ALREADY_EXISTS
    http_code = 409
    default_title = "Conflict"


class Aborted(ServiceError):
    """Lost a race; repeat."""

    code = StatusCode.ABORTED
    http_code = 409
    default_title = "Conflict"


class Cancelled(ServiceError):
    """The caller went away."""

    code = StatusCode.CANCELLED
    http_code = 499
    default_title = "Cancelled"


class ResourceExhausted(ServiceError):
    """A limit or quota is reached."""

    code = StatusCode.RESOURCE_EXHAUSTED
    http_code = 429
    default_title = "Too many requests"


class Unavailable(ServiceError):
    """Something needed does not answer; repeat with backoff."""

    code = StatusCode.UNAVAILABLE
    http_code = 503
    default_title = "Service unavailable"


class DeadlineExceeded(ServiceError):
    """Not done in time; it may still have happened."""

    code = StatusCode.DEADLINE_EXCEEDED
    http_code = 504
    default_title = "Deadline exceeded"


class DataLoss(ServiceError):
    """Stored data is not what was stored."""

    code = StatusCode.DATA_LOSS


class Internal(ServiceError):
    """A defect."""
