"""Which frames a classifier looks at: the first, one after every cut, and one every so often."""

from __future__ import annotations

from typing import Any

import numpy as np

_CUT = 30.0
"""Mean difference of 8-bit brightness between neighbours that makes a cut."""


class Sampler:
    """Decides frame by frame."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._previous: Any = None
        self._last_s = float("-inf")

    def wants(self, time_s: float, rgb_hw3: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
        """Says whether to look at this frame, given reduced to one colour per cell."""
        brightness = rgb_hw3.mean(-1)
        cut = self._previous is None or float(np.abs(brightness - self._previous).mean()) >= _CUT
        self._previous = brightness
        if cut or time_s - self._last_s >= self._interval_s:
            self._last_s = time_s
            return True
        return False
