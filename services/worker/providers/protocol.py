"""What every provider's adapter does, and how it says that it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Order:
    """A video to be made."""

    model: str
    """The provider's name of the model."""
    prompt: str
    negative_prompt: str
    seed: int
    """0 to 2^63 - 1; an adapter takes as many of its low bits as the provider knows."""
    width: int
    """Pixels, as the catalogue says for the aspect ratio."""
    height: int
    """Pixels."""
    aspect_ratio: str
    """E.g. "16:9"."""
    length_s: float
    """A length that the provider makes."""
    sound: bool
    """Whether sound is wanted."""
    first_frame: bytes | None
    """PNG of this very size that the video begins with; None for none."""
    key: str
    """The same for a repetition of the same order, and for nothing else."""


@dataclass(frozen=True)
class Poll:
    """How far an operation is."""

    done: bool
    fraction: float | None = None
    """Share that is done, 0 to 1; None where the provider does not say."""
    credits: Decimal | None = None
    """What it costs in the provider's own unit; None where the provider does not say."""


class ProviderError(Exception):
    """Base of what an adapter raises. Texts are for the log: they hold neither prompts nor keys."""


class RetryLaterError(ProviderError):
    """Nothing happened; the same call may succeed later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """When the provider wants to be asked again; None where it does not say."""


class LostAnswerError(RetryLaterError):
    """No usable answer came: the call may have had its effect."""


class KeyRefusedError(ProviderError):
    """The provider does not know the key, or the key may not do this."""


class RejectedError(ProviderError):
    """The request will never do."""


class OperationEndedError(ProviderError):
    """The operation is over without a video."""

    def __init__(self, message: str, credits_charged: Decimal | None = None) -> None:
        super().__init__(message)
        self.credits = credits_charged
        """As in Poll."""


class OperationFailedError(OperationEndedError):
    """It failed, or the provider has forgotten it; another may succeed."""


class ContentRefusedError(OperationEndedError):
    """The provider's safety check refused the prompt or the video."""


class Provider(Protocol):
    """One API with one key. Each method is one attempt; whoever calls repeats what may be repeated."""

    async def submit(self, order: Order) -> str:
        """Has a video made; returns the operation's id.

        Raises:
            RetryLaterError: not now; LostAnswerError where it may have begun.
            KeyRefusedError: the key is no good.
            RejectedError: the order is no good.
            ContentRefusedError: the prompt is refused.
        """

    async def poll(self, operation_id: str) -> Poll:
        """Looks how far it is.

        Raises:
            RetryLaterError, KeyRefusedError: as `submit`.
            OperationFailedError, ContentRefusedError: it ended without a video.
        """

    async def fetch(self, operation_id: str, path: Path) -> None:
        """Writes the video of an operation that is done; raises as `poll`."""

    async def cancel(self, operation_id: str) -> None:
        """Ends an operation, where the provider lets it be ended; raises as `poll`."""
