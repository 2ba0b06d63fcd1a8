"""Which of many differences are real? p-values and levels for several at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.pairs import Correction

Floats = npt.NDArray[np.float64]


def corrected(
    p_values: Floats,
    *,
    correction: Correction = "holm",
    confidence_level: float = 0.95,
) -> tuple[Floats, Floats]:
    """Return adjusted p-values and the confidence level that is left to each.

    With m differences in ascending order of p-value, and alpha = 1 -
    `confidence_level`::

        holm  adjusted p_k = max over j <= k of (m - j + 1) p_j
              level_k = 1 - alpha / (m - k + 1), while all up to k are found;
              of the others, that at which the first was not found
        bh    adjusted p_k = min over j >= k of m p_j / j
              level = 1 - alpha R / m of the R that are found, 1 - alpha (R + 1) / m
              of the others

    An interval at its level leaves 0 out just where the adjusted p-value is below
    alpha, and, if Holm's, is on the true side of 0 wherever it is on one, all together
    with `confidence_level`. They are no simultaneous intervals: where many are found,
    the last of them has the level of one, and that all hold their differences is less
    probable. Holm's holds the chance of any false finding, whatever the dependence;
    that of Benjamini and Hochberg the expected share of false ones among those found,
    for positively dependent tests, and its intervals are those of Benjamini and
    Yekutieli, which miss no more than that share of the differences that were found.

    Parameters
    ----------
    p_values : ndarray, shape (m,)
        A ``nan`` is no test, and does not count.

    Returns
    -------
    adjusted, levels : ndarray, shape (m,)
        ``nan`` and `confidence_level` where there is no test.

    Raises
    ------
    DesignError
        ``unknown-method``.

    References
    ----------
    S. Holm, Scand. J. Statist. 6 (1979) 65. Y. Benjamini, Y. Hochberg, J. R. Statist.
    Soc. B 57 (1995) 289. Y. Benjamini, D. Yekutieli, JASA 100 (2005) 71: intervals.
    """
    if correction not in ("holm", "bh", "none"):
        raise DesignError(
            f"there is no correction {correction!r}; choose one of holm, bh, none",
            code="unknown-method",
        )
    adjusted = np.array(p_values, dtype=np.float64)
    levels = np.full(adjusted.shape, confidence_level)
    known = np.flatnonzero(~np.isnan(adjusted))
    if correction == "none" or len(known) == 0:
        return adjusted, levels
    order = known[np.argsort(adjusted[known], kind="stable")]
    m, alpha = len(order), 1 - confidence_level
    place = np.arange(1, m + 1)
    p = adjusted[order]
    if correction == "holm":
        left = m - place + 1
        values = np.maximum.accumulate(left * p)
        # Where all were found, nobody reads the level of the next.
        n_found = int((values < alpha).sum())
        parts = alpha / np.where(place <= n_found, left, left[min(n_found, m - 1)])
    else:
        values = np.minimum.accumulate((m * p / place)[::-1])[::-1]
        n_found = int((values < alpha).sum())
        parts = alpha * np.where(place <= n_found, n_found, n_found + 1) / m
    adjusted[order] = np.minimum(values, 1)
    levels[order] = 1 - parts
    return adjusted, levels
