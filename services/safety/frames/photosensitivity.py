"""Flashes that may trigger photosensitive seizures, counted as ITU-R BT.1702 and WCAG 2.2 (2.3.1) count them.

A flash is a pair of opposing changes of luminance of 20 cd/m² or more where the darker image is below 160 cd/m², on a
display whose white is 200 cd/m²; or a pair of changes to and from a saturated red. Harmful is a sequence of more than
three flashes within any second over more than a quarter of the picture at once.

Every cell of a coarse grid is followed on its own: its changes are counted at their leading edges, a change being the
way from one turning point to the next, however many frames it takes. A cell that had more than three changes in one
direction within a second flashes too often; the share of such cells is the area.

Legend: h, w rows and columns of cells.
"""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import numpy as np

Cells: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

PEAK_CD_M2 = 200.0
FLASH_CD_M2 = 20.0
DARK_CD_M2 = 160.0
RED_SHARE = 0.8
RED_CHANGE = 20.0
MAX_FLASHES = 3
MAX_AREA = 0.25
_GAMMA = 2.4
_RED_SCALE = 320.0


class FlashMeter:
    """Takes the frames of a clip in order and remembers the worst area."""

    def __init__(self, rows: int, columns: int) -> None:
        self.worst_area = 0.0
        """Largest share of the picture that flashed too often at one time, 0 to 1."""
        self._luminance = _ChangeCounter(FLASH_CD_M2, (rows, columns))
        self._red = _ChangeCounter(RED_CHANGE, (rows, columns))

    def add(self, time_s: float, rgb_hw3: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        """Takes a frame, reduced to one colour per cell, sRGB or BT.709, 0 to 255."""
        linear = (rgb_hw3 / 255.0) ** _GAMMA
        red, green, blue = np.moveaxis(linear, -1, 0)
        luminance = PEAK_CD_M2 * (0.2126 * red + 0.7152 * green + 0.0722 * blue)
        general = self._luminance.add(time_s, luminance, counts_hw=luminance < DARK_CD_M2)
        # WCAG's measure of red, which is zero for anything that is not red; only saturated red counts.
        redness = _RED_SCALE * np.maximum(0.0, red - green - blue)
        saturated = red >= RED_SHARE * np.maximum(linear.sum(-1), 1e-9)
        flashing = general | self._red.add(time_s, redness, counts_hw=saturated)
        self.worst_area = max(self.worst_area, float(flashing.mean()))

    @property
    def score(self) -> float:
        """0.5 at the limit of a quarter of the picture, 1 from half of it on."""
        return min(1.0, self.worst_area / (2 * MAX_AREA))


class _ChangeCounter:
    """Follows a signal in every cell from turning point to turning point."""

    def __init__(self, threshold: float, shape: tuple[int, int]) -> None:
        self._threshold = threshold
        self._low, self._high = np.full(shape, np.inf), np.full(shape, -np.inf)
        # Whether the value at the low and at the high point may be one end of a harmful change.
        self._low_counts, self._high_counts = np.zeros(shape, bool), np.zeros(shape, bool)
        self._direction = np.zeros(shape, np.int8)
        self._edges: deque[tuple[float, Mask, Mask]] = deque()

    def add(self, time_s: float, signal_hw: Cells, counts_hw: Mask) -> Mask:
        """Returns which cells changed in one direction more than three times within the last second.

        Args:
            time_s: The frame's time.
            signal_hw: Its signal.
            counts_hw: Where its value may be one end of a harmful change.
        """
        self._follow(signal_hw, counts_hw)
        rises = (self._direction <= 0) & (signal_hw - self._low >= self._threshold)
        falls = ~rises & (self._direction >= 0) & (self._high - signal_hw >= self._threshold)
        self._edges.append((time_s, rises & (self._low_counts | counts_hw), falls & (self._high_counts | counts_hw)))
        self._turn(signal_hw, counts_hw, rises, falls)
        while time_s - self._edges[0][0] > 1.0:
            self._edges.popleft()
        rise_count = np.sum([edge[1] for edge in self._edges], 0)
        fall_count = np.sum([edge[2] for edge in self._edges], 0)
        return np.asarray(np.maximum(rise_count, fall_count) > MAX_FLASHES)

    def _follow(self, signal_hw: Cells, counts_hw: Mask) -> None:
        """Moves the turning points along with a signal that goes on in its direction."""
        lower, higher = signal_hw < self._low, signal_hw > self._high
        self._low, self._high = np.minimum(self._low, signal_hw), np.maximum(self._high, signal_hw)
        self._low_counts = np.where(lower, counts_hw, self._low_counts)
        self._high_counts = np.where(higher, counts_hw, self._high_counts)

    def _turn(self, signal_hw: Cells, counts_hw: Mask, rises: Mask, falls: Mask) -> None:
        """Begins anew from here where the signal changed."""
        turned = rises | falls
        self._direction = np.where(rises, 1, np.where(falls, -1, self._direction)).astype(np.int8)
        self._low, self._high = (np.where(turned, signal_hw, point) for point in (self._low, self._high))
        self._low_counts = np.where(turned, counts_hw, self._low_counts)
        self._high_counts = np.where(turned, counts_hw, self._high_counts)
