"""Which ranks may each choice truly have?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.intp]


def rank_ranges(
    difference: Floats, p_adjusted: Floats, *, confidence_level: float = 0.95
) -> tuple[Ranks, Ranks]:
    """Return the best and the worst rank that each of M choices may have.

    ``1 + number surely better`` and ``M - number surely worse``, of tests of all pairs
    at once. If no test of them errs, every true rank is in its range; so all are, with
    the probability at which the correction holds any error, which is Holm's.

    Parameters
    ----------
    difference, p_adjusted : ndarray, shape (M, M)
        Row minus column, and corrected p-values; ``nan`` is no test.

    Returns
    -------
    low, high : ndarray of int, shape (M,)
        1 is the best.

    References
    ----------
    D. Al Mohamad, J. J. Goeman, E. W. van Zwet, Biometrics 78 (2022) 238: simultaneous
    intervals of ranks from tests of all pairs.
    """
    sure = p_adjusted < 1 - confidence_level
    is_beaten = (sure & (difference < 0)).sum(1)
    beats = (sure & (difference > 0)).sum(1)
    return np.asarray(1 + is_beaten), np.asarray(len(difference) - beats)
