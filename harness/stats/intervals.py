"""How sure is a mean score, given its items? Intervals over items."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WILSON = "Wilson score interval over items"
HALL = "skewness-corrected t interval over items (Hall 1992)"


def mean_intervals(
    scores: Floats,
    *,
    confidence_level: float = 0.95,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[Floats, Floats]:
    """Return the ends of an interval for the mean of each series of item scores.

    Items are taken as independent draws from those that could have been asked.
    A series of nothing but 0 and 1 gets Wilson's interval, which holds its level
    at any number of items and has a width at 0 and 100 %. Others get Hall's: t of
    a cubic transformation that removes the skewness of the mean::

        g(T) = T + c T^2 / 3 + c^2 T^3 / 27 + c / (6 n),   T = (mean - mu) / sd

    with ``c`` the sample skewness and ``sqrt(n) g(T)`` referred to Student's t with
    n - 1 degrees of freedom. Both are second-order correct in closed form; neither
    is the plain normal interval, which is too narrow below a few hundred items.

    Parameters
    ----------
    scores : ndarray, shape (..., n_items)
        One score for each item: average repeats and few-shot seeds first, they
        are no items of their own. A series with a ``nan`` has no interval.
    confidence_level : float
        Above 0 and below 1.
    bounds : tuple of float
        What scores can be; Hall's interval is cut off there.

    Returns
    -------
    low, high : ndarray, shape (...)
        ``nan`` where there is none: no items, or a series that does not vary and is
        not all 0 or all 1, from which no spread can be learnt.

    References
    ----------
    E. B. Wilson, JASA 22 (1927) 209. P. Hall, J. R. Statist. Soc. B 54 (1992) 221,
    section 2. S. Bowyer, L. Aitchison, D. R. Ivanova, arXiv 2503.01747 (2025): the
    normal interval fails below a few hundred items.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n = scores.shape[-1]
    if n == 0:
        nothing = np.full(scores.shape[:-1], np.nan)
        return nothing, nothing.copy()
    mean = scores.mean(-1)
    binary = is_binary(scores)
    low, high = _wilson(mean, n, confidence_level)
    if not binary.all():
        hall_low, hall_high = _hall(scores, mean, n, confidence_level)
        low = np.where(binary, low, np.maximum(hall_low, bounds[0]))
        high = np.where(binary, high, np.minimum(hall_high, bounds[1]))
    return low, high


def standard_error(half_width: Floats, *, confidence_level: float) -> Floats:
    """Return half-widths of intervals as standard errors, to be compared with SDs.

    ``half_width / z`` with z the two-sided normal quantile, 1.96 at 95 %: an interval
    that is wider than the normal one, for few items or for scores all right or all
    wrong, gives a standard error that is larger by as much, and never 0.
    """
    from scipy.special import ndtri

    return np.asarray(half_width / ndtri(0.5 + confidence_level / 2))


def is_binary(scores: Floats) -> npt.NDArray[np.bool_]:
    """Return which series of item scores hold nothing but 0 and 1."""
    return np.asarray(((scores == 0) | (scores == 1)).all(-1))


def _wilson(p: Floats, n: int, confidence_level: float) -> tuple[Floats, Floats]:
    from scipy.special import ndtri

    z2 = ndtri(0.5 + confidence_level / 2) ** 2
    # A proportion outside [0, 1] is not binary, and its values are not used.
    spread = np.sqrt(z2 * np.clip(p * (1 - p), 0, None) / n + z2**2 / (4 * n**2))
    middle = p + z2 / (2 * n)
    low, high = ((middle + sign * spread) / (1 + z2 / n) for sign in (-1, 1))
    # Exact at the ends, where rounding would leave 1e-18 beyond them.
    return np.where(p == 0, 0, low), np.where(p == 1, 1, high)


def _hall(
    scores: Floats, mean: Floats, n: int, confidence_level: float
) -> tuple[Floats, Floats]:
    from scipy.special import stdtrit

    if n < 2:
        nothing = np.full(mean.shape, np.nan)
        return nothing, nothing.copy()
    error = scores - mean[..., None]
    variance = (error**2).mean(-1)
    # Rounding leaves a constant series with a variance of 1e-33, not of 0.
    varies = np.ptp(scores, -1) > 1e-12 * np.abs(scores).max(-1)
    safe = np.where(varies, variance, np.nan)
    skewness = (error**3).mean(-1) / safe**1.5
    sd = np.sqrt(safe * n / (n - 1))
    # The transformation is the identity where there is no skewness to remove.
    flat = np.abs(skewness) < 1e-6
    c = np.where(flat, 1.0, skewness)

    def back(quantile: float) -> Floats:
        y = quantile / math.sqrt(n)
        curved = 3 / c * (np.cbrt(1 + c * (y - c / (6 * n))) - 1)
        return np.asarray(mean - sd * np.where(flat, y, curved))

    t = float(stdtrit(n - 1, 0.5 + confidence_level / 2))
    return back(t), back(-t)
