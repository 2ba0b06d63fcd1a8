"""How sure is a difference at which one may have looked many times before?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.stats.compare.difference import Moments, intervals, p_values
from harness.stats.sequential import TUNED, mixture_interval, mixture_p_value

Floats = npt.NDArray[np.float64]


def anytime_intervals(
    moments: Moments,
    levels: Floats | float,
    *,
    n_target: int,
    widest: Floats | float = math.inf,
) -> tuple[Floats, Floats]:
    """Return confidence sequences in place of `intervals`, each at its own level.

    Those of `harness.stats.sequential.confidence_sequence`: of 0 and 1 and given seeds
    exact; of others the intervals of `harness.stats.compare.difference.intervals` at
    the level at which their quantile is that of the sequence. Training seeds are taken
    as drawn once.

    Parameters
    ----------
    levels : float or ndarray
        Confidence level of each, over all looks together.
    n_target : int
        Items at which they are to be narrowest.
    """
    from scipy.special import ndtr

    levels = np.broadcast_to(
        np.asarray(levels, dtype=np.float64), moments.difference.shape
    )
    t = moments.n_units * TUNED / n_target
    z = np.sqrt(2 * (t + 1) / t * np.log(np.sqrt(t + 1) / (1 - levels)))
    low, high = intervals(moments, 1 - 2 * ndtr(-z), widest=widest)
    counted = np.flatnonzero(moments.is_counted)
    if len(counted):
        part = moments[counted]
        low[counted], high[counted] = mixture_interval(
            part.n_better,
            part.n_worse,
            part.n_units,
            confidence_level=levels[counted],
            n_target=n_target,
        )
    return low, high


def anytime_p_values(moments: Moments, *, n_target: int) -> Floats:
    """Return the always valid p-values that belong to `anytime_intervals`.

    As `harness.stats.sequential.always_valid_p`, with the normal quantile z of the
    p-value for one look: ``sqrt(t + 1) exp(-z^2 t / (2 (t + 1)))``.
    """
    from scipy.special import ndtri

    t = moments.n_units * TUNED / n_target
    z = -ndtri(p_values(moments) / 2)
    p = np.minimum(np.sqrt(t + 1) * np.exp(-(z**2) * t / (2 * (t + 1))), 1)
    counted = moments.is_counted
    part = moments[counted]
    p[counted] = mixture_p_value(part.n_better, part.n_worse, n_target=n_target)
    return np.asarray(p)
