"""Which true difference would these answers find?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.stats.compare.difference import Moments, distances
from harness.stats.compare.looks import quantiles
from harness.stats.sequential import mixture_p_value

Floats = npt.NDArray[np.float64]

POWER = 0.8
"""Probability of finding the smallest detectable difference."""

FEW_APART = 40
"""Up to so many items that differ, their number is not taken at its mean."""

N_NODES = 64
"""At which the spread of the seeds is taken, each as probable as the next."""

N_BISECTIONS = 30
"""Of what a difference can be: nine digits."""


def smallest_detectable(
    moments: Moments,
    levels: Floats | float,
    *,
    n_target: int | None = None,
    widest: Floats | float = math.inf,
) -> Floats:
    """Return the true difference that is found with a probability of `POWER`, for each.

    Of 0 and 1 and given seeds it is found where the test that belongs to the interval
    has a p-value below the level. Of n items, of which b are better and c worse, as
    many differ as did, or as the difference delta needs; with share
    ``psi = max((b + c) / n, delta)``::

        b + c ~ Binomial(n, psi),   b ~ Binomial(b + c, (1 + delta / psi) / 2)

    the second by its normal approximation where more than `FEW_APART` differ.

    Of others, where the interval leaves 0 out. With l its distance from the difference
    over items, ``extra`` what `harness.stats.compare.difference.intervals` adds for
    training seeds, and s the standard error, it is the delta at which ``Phi((delta -
    sqrt(l^2 + extra)) / s)``, averaged over the distribution ``seed chi^2(nu) / nu``
    of the spread that few seeds happen to show, is `POWER`. The one that is observed
    here is taken for the true one.

    Parameters
    ----------
    levels : float or ndarray
        Confidence level of each test.
    n_target : int, optional
        Of confidence sequences, where tests are theirs.
    widest : float or ndarray
        The largest difference that scores allow.

    Returns
    -------
    ndarray
        ``nan`` where no difference is found so often.
    """
    levels = np.broadcast_to(
        np.asarray(levels, dtype=np.float64), moments.difference.shape
    )
    q = quantiles(moments, levels, n_target=n_target)
    out = np.full(len(moments), np.nan)
    counted = np.flatnonzero(moments.is_counted)
    if len(counted):
        out[counted] = _of_counts(moments[counted], 1 - levels[counted], n_target)
    others = np.flatnonzero(~moments.is_counted & np.isfinite(q))
    if len(others):
        out[others] = _of_spreads(moments[others], q[others])
    return np.where(out <= widest, out, np.nan)


# ---- scores that are not counted ------------------------------------------------


def _of_spreads(moments: Moments, q: Floats) -> Floats:
    from scipy.special import chdtri, gammaln, ndtr, stdtrit

    below, above = distances(moments.for_these_seeds, q)
    items = (above - below) / 2
    df = np.where(np.isfinite(moments.seed_df), moments.seed_df, 1.0)
    # The SD of few seeds is on average too small by this.
    c4 = np.sqrt(2 / df) * np.exp(gammaln((df + 1) / 2) - gammaln(df / 2))
    t = -stdtrit(df, ndtr(-q))
    nodes = (np.arange(N_NODES) + 0.5) / N_NODES
    seed = np.maximum(moments.seed / c4**2, moments.interaction)
    observed = seed[:, None] * chdtri(df[:, None], nodes) / df[:, None]
    extra = t[:, None] * (t[:, None] * observed - (q * moments.interaction)[:, None])
    half = np.sqrt(items[:, None] ** 2 + np.maximum(extra, 0))
    se = np.sqrt(moments.variance + seed - moments.interaction)
    se = np.where(se > 0, se, np.nan)

    def power(delta: Floats) -> Floats:
        return np.asarray(ndtr((delta[:, None] - half) / se[:, None]).mean(1))

    return _least(power, half.max(1) + se)


def _least(power: Callable[[Floats], Floats], most: Floats) -> Floats:
    """Return the least difference up to `most` with enough power, by bisection."""
    low, high = np.zeros_like(most), most
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        is_found = power(middle) >= POWER
        low, high = np.where(is_found, low, middle), np.where(is_found, middle, high)
    return np.where(power(high) >= POWER, high, np.nan)


# ---- scores of 0 and 1 -----------------------------------------------------------


def _of_counts(moments: Moments, alpha: Floats, n_target: int | None) -> Floats:
    n = moments.n_units
    apart = moments.n_better + moments.n_worse
    out = np.empty(len(n))
    few = apart <= FEW_APART
    if few.any():
        out[few] = _of_few(n[few], apart[few], alpha[few], n_target)
    if not few.all():
        out[~few] = _of_many(n[~few], apart[~few], alpha[~few], n_target)
    return out


def _of_few(n: Floats, apart: Floats, alpha: Floats, n_target: int | None) -> Floats:
    from scipy.special import betainc, gammaln, xlog1py, xlogy

    # So many that differ in one direction alone are found.
    least = 2 - math.log2(max(float(alpha.min()), 1e-300))
    most = min(float(n.max()), max(FEW_APART, 2 * least))
    d = np.arange(math.ceil(most + 6 * math.sqrt(most)) + 1.0)
    levels, which = np.unique(alpha, return_inverse=True)
    needed = _needed(np.tile(d, (len(levels), 1)), levels[:, None], n_target)
    least_better = np.ceil(needed - 1e-9)[which]
    is_enough = least_better <= d
    n_ways = gammaln(n[:, None] + 1) - gammaln(d + 1)
    n_ways = np.where(d <= n[:, None], n_ways - gammaln(n[:, None] - d + 1), -np.inf)

    def power(delta: Floats) -> Floats:
        share = np.maximum(apart / n, delta)[:, None]
        rest = np.maximum(n[:, None] - d, 0)
        mass = np.exp(n_ways + xlogy(d, share) + xlog1py(rest, -share))
        better = (1 + delta[:, None] / share) / 2
        found = betainc(least_better, np.maximum(d - least_better + 1, 1), better)
        return np.asarray((mass * found * is_enough).sum(1))

    return _least(power, np.minimum(most / n, 1.0))


def _of_many(n: Floats, apart: Floats, alpha: Floats, n_target: int | None) -> Floats:
    from scipy.special import ndtr

    # What is needed is a whole number, half a step above this on average.
    z = (2 * _needed(apart, alpha, n_target) - apart) / np.sqrt(apart)

    def power(delta: Floats) -> Floats:
        differing = np.maximum(apart, n * delta)
        spread = np.sqrt(np.maximum(differing - n * delta**2, 1e-300))
        return np.asarray(ndtr((n * delta - z * np.sqrt(differing)) / spread))

    return _least(power, np.ones(len(n)))


def _needed(apart: Floats, alpha: Floats, n_target: int | None) -> Floats:
    """Return how many of the items that differ must be better; no whole number."""
    from scipy.special import betainc

    low, high = apart / 2, apart + 1
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        if n_target is None:
            p = 2 * betainc(middle, np.maximum(apart - middle + 1, 1e-9), 0.5)
        else:
            p = mixture_p_value(middle, apart - middle, n_target=n_target)
        low, high = np.where(p < alpha, low, middle), np.where(p < alpha, middle, high)
    return high
