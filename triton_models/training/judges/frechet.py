"""How far two sets of clips are apart in the judges' own features.

The Frechet distance of two normal distributions, as FID and FVD take it, but between features of our own small judges:
it compares models of this repository with each other and with renders, and nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]


def frechet_distance(ours: Features, theirs: Features) -> float:
    """Returns |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) of features [N, D] and [M, D]."""
    gap = ours.mean(0) - theirs.mean(0)
    ours_cov, theirs_cov = np.cov(ours, rowvar=False), np.cov(theirs, rowvar=False)
    # The product of two covariances has real eigenvalues >= 0; rounding may say otherwise.
    common = np.sqrt(np.linalg.eigvals(ours_cov @ theirs_cov).real.clip(0)).sum()
    return float(gap @ gap + np.trace(ours_cov) + np.trace(theirs_cov) - 2 * common)
