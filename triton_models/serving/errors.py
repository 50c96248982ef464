"""Why a request to a model fails; Triton carries the text "REASON: message"."""

from __future__ import annotations


class ModelError(Exception):
    """A request that fails for a reason the caller can act on."""

    reason = "INFERENCE_FAILED"
    """Machine-readable; the caller tests it."""

    def __str__(self) -> str:
        return f"{self.reason}: {super().__str__()}"


class InvalidRequest(ModelError):  # noqa: N818 - named as the reason it carries
    """The request is malformed, or names a file it may not or cannot name; repeating does not help."""

    reason = "INVALID_REQUEST"


class CheckpointRefused(ModelError):  # noqa: N818
    """The checkpoint is damaged, or of another model or request; an older one may do."""

    reason = "CHECKPOINT_REFUSED"
