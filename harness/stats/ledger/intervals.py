"""How far may a component be, given mean squares of normal effects?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHI_SQUARE = "chi-square interval"
WILLIAMS = "interval of Williams and Tukey"
LARGE_SAMPLE = "modified large-sample interval"


def component_interval(
    weights: Floats, mean_squares: Floats, df: Floats, *, confidence_level: float
) -> tuple[float, float, str]:
    """Return an interval for ``weights @ E mean_squares``, and its name.

    Mean squares are independent, ``df mean_square / E mean_square`` is chi-square. Of
    one the interval is exact, of a difference of two it is Williams and Tukey's. Of
    more it is the modified large-sample one: ``value - sqrt(V)`` and ``value +
    sqrt(V')``, with V such that it is exact where all but one, or but two, expected
    mean squares are 0.

    Parameters
    ----------
    weights, mean_squares, df : ndarray, shape (n_mean_squares,)
        All of `df` above 0.

    References
    ----------
    J. S. Williams, Biometrika 49 (1962) 278. N. Ting, R. K. Burdick, F. A. Graybill, S.
    Jeyaratnam, T.-F. C. Lu, J. Statist. Comput. Simul. 35 (1990) 135. R. K. Burdick, F.
    A. Graybill, *Confidence Intervals on Variance Components*, 1992, section 3.3.
    """
    from scipy.special import chdtri

    tail = (1 - confidence_level) / 2
    terms = weights * mean_squares
    plus, minus = weights > 0, weights < 0
    if plus.sum() == 1 and minus.sum() <= 1:
        ratio = float(-terms[minus].sum() / terms[plus][0])
        n = float(df[plus][0])
        ends = []
        for p in (tail, 1 - tail):
            f = _f(n, float(df[minus][0]), p) if minus.any() else 0
            ends.append(float(terms[plus][0] * (1 - f * ratio) * n / chdtri(n, p)))
        return ends[0], ends[1], WILLIAMS if minus.any() else CHI_SQUARE
    value = float(terms.sum())
    up = _variance(terms[plus], df[plus], -terms[minus], df[minus], tail)
    down = _variance(-terms[minus], df[minus], terms[plus], df[plus], tail)
    return value - math.sqrt(up), value + math.sqrt(down), LARGE_SAMPLE


def _variance(
    added: Floats, df: Floats, subtracted: Floats, df_subtracted: Floats, tail: float
) -> float:
    """Return the square of how far the lower end lies below a difference of sums."""
    from scipy.special import chdtri

    g = 1 - df / chdtri(df, tail)
    h = df_subtracted / chdtri(df_subtracted, 1 - tail) - 1
    total = float(((g * added) ** 2).sum() + ((h * subtracted) ** 2).sum())
    for i, n in enumerate(df):
        for j, m in enumerate(df_subtracted):
            f = _f(float(n), float(m), tail)
            cross = ((f - 1) ** 2 - (g[i] * f) ** 2 - h[j] ** 2) / f
            total += float(cross * added[i] * subtracted[j])
        for j in range(i):
            m, both = df[j], n + df[j]
            cross = (1 - both / chdtri(both, tail)) ** 2 * both**2 / (n * m)
            cross -= g[i] ** 2 * n / m + g[j] ** 2 * m / n
            total += float(cross / (len(df) - 1) * added[i] * added[j])
    return max(total, 0.0)


def _f(n: float, m: float, tail: float) -> float:
    """Return the value that F exceeds with probability `tail`."""
    from scipy.special import fdtri

    return float(fdtri(n, m, 1 - tail))
