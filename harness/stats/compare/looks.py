"""How sure is a difference at which one may have looked many times before?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.stats.compare.difference import Moments, intervals, p_values
from harness.stats.sequential import (
    mixture_interval,
    mixture_p_value,
    sequence_p_value,
    sequence_quantile,
)

Floats = npt.NDArray[np.float64]


def quantiles(
    moments: Moments, levels: Floats | float, *, n_target: int | None = None
) -> Floats:
    """Return the two-sided normal quantile that an interval of each level reaches to.

    Of confidence sequences that are narrowest at `n_target` items, where it is given.
    """
    from scipy.special import ndtri

    if n_target is None:
        return np.asarray(-ndtri((1 - np.asarray(levels)) / 2))
    return sequence_quantile(moments.n_units, levels, n_target=n_target)


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
    z = quantiles(moments, levels, n_target=n_target)
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
    p-value for one look.
    """
    from scipy.special import ndtri

    z = -ndtri(p_values(moments) / 2)
    p = sequence_p_value(z, moments.n_units, n_target=n_target)
    counted = moments.is_counted
    part = moments[counted]
    p[counted] = mixture_p_value(part.n_better, part.n_worse, n_target=n_target)
    return p
