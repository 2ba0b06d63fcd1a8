"""How far does a score move between checkpoints, and how many of them tell?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.estimate import Caution, Estimate, Interval, undefined
from harness.stats.ranks import ONE_CHECKPOINT

if TYPE_CHECKING:
    pass

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def total_variation(
    scores: Floats, *, improvement: bool = True, confidence_level: float = 0.95
) -> Estimate:
    """Return how much a score moves from checkpoint to checkpoint beyond its rise.

    ``TV = (sum of |U(t) - U(t-1)| - (U(T) - U(0))) / T`` over the T moves of a run,
    averaged over runs: twice the mean fall per step, so 0 where a score never falls.
    Without `improvement` the second term is left out, and a steady rise counts.

    The interval is Student's t over runs, as draws from those that could be trained.

    Parameters
    ----------
    scores : ndarray, shape (..., n_steps)
        Any leading axes are runs; a missing step joins its neighbours.
    improvement : bool
        Whether the rise from first to last is taken off.

    Notes
    -----
    Cautions: ``one-checkpoint``; ``one-run`` (no interval).

    References
    ----------
    D. Heineman et al., arXiv 2508.13144 (2025), appendix A.3.
    """
    from scipy.special import stdtrit

    rows = np.asarray(scores, dtype=np.float64)
    moves = [np.diff(row[~np.isnan(row)]) for row in rows.reshape(-1, rows.shape[-1])]
    values = np.array(
        [
            (np.abs(move).sum() - improvement * move.sum()) / len(move)
            for move in moves
            if len(move)
        ]
    )
    n = len(values)
    rise = " less the mean rise" if improvement else ""
    method = f"mean move between checkpoints{rise}, mean over runs"
    if n == 0:
        return undefined(
            "total_variation",
            n=0,
            method=method,
            code="one-checkpoint",
            text=ONE_CHECKPOINT,
        )
    value = float(values.mean())
    if n == 1:
        text = "an interval over runs needs at least 2 training runs, has 1"
        return Estimate(
            quantity="total_variation",
            value=value,
            n=1,
            method=method,
            cautions=(Caution("one-run", text),),
        )
    se = float(values.std(ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 0.5 + confidence_level / 2)) * se
    return Estimate(
        quantity="total_variation",
        value=value,
        se=se,
        interval=Interval(value - half, value + half),
        confidence_level=confidence_level,
        n=n,
        method=f"{method}; t interval over runs",
    )


def tolerance_probability(n_checkpoints: int, tolerance: float) -> float:
    """Return how often the SD of n checkpoints is within `tolerance` of the truth.

    ``P((1 - k)^2 (n - 1) < chi2 < (1 + k)^2 (n - 1))`` with n - 1 degrees of freedom
    and k the tolerance as a share of the true SD: exact for independent normal
    checkpoints.

    Notes
    -----
    The source (appendix A.3.2) has 9 as the fewest checkpoints with
    ``P(chi2 < 4 (n - 1)) > .95``; 2 give .9545 already.
    """
    from scipy.special import chdtr

    if n_checkpoints < 2 or tolerance <= 0:
        raise DesignError(
            f"an SD of {n_checkpoints} checkpoints to within {tolerance:g} of itself "
            "is no question; give 2 or more checkpoints and a tolerance above 0",
            code="bad-tolerance",
        )
    df = n_checkpoints - 1
    low, high = max(1 - tolerance, 0.0), 1 + tolerance
    return float(chdtr(df, high**2 * df) - chdtr(df, low**2 * df))


def checkpoints_needed(tolerance: float, *, confidence_level: float = 0.95) -> int:
    """Return the fewest checkpoints whose SD is that near the truth, that often.

    The smallest n with ``tolerance_probability(n, tolerance) >= confidence_level``.

    Raises
    ------
    DesignError
        ``bad-tolerance``: not above 0.
    """
    high = 2
    while tolerance_probability(high, tolerance) < confidence_level:
        high *= 2
    low = max(high // 2, 2)
    while low < high:
        middle = (low + high) // 2
        if tolerance_probability(middle, tolerance) < confidence_level:
            low = middle + 1
        else:
            high = middle
    return high
