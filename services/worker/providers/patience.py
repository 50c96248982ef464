"""Repeating what a provider refuses for now, until that is useless or the job is wanted back."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from services.worker.errors import ProviderUnavailableError
from services.worker.providers.offers import Offers
from services.worker.providers.protocol import KeyRefusedError, LostAnswerError, RetryLaterError
from services.worker.work import StopRequest

T = TypeVar("T")

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a provider may refuse."""

    offers: Offers
    limit_s: float

    async def call(
        self, name: str, stop: StopRequest, attempt: Callable[[], Awaitable[T]], *, repeatable: bool = True
    ) -> T:
        """Makes a call until it succeeds.

        Args:
            name: The model.
            stop: Asks for the job.
            attempt: The call.
            repeatable: Whether it may be made again although it may have had its effect.

        Raises:
            GivenBackError: somebody asked for the job, or (ProviderUnavailableError) the provider takes no work.
            LostAnswerError: nobody knows whether a call that is not repeatable had its effect.
            ProviderError: any that no repetition helps.
        """
        began, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while True:
            stop.check()
            try:
                result = await attempt()
            except KeyRefusedError as error:
                logger.error("provider refuses the key", extra={"model": name, "cause": str(error)})  # noqa: TRY400
                raise ProviderUnavailableError from error
            except RetryLaterError as error:
                if isinstance(error, LostAnswerError) and not repeatable:
                    raise
                wait_s = error.retry_after_s or random.uniform(0.5, 1.0) * pause_s
                logger.warning("provider refuses for now", extra={"model": name, "cause": str(error)})
                if time.monotonic() + wait_s > began + self.limit_s:
                    raise ProviderUnavailableError(error.retry_after_s) from error
                await stop.sleep(wait_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self.offers.answered(name)
                return result
