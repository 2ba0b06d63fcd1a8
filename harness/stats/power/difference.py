"""How many items tell two models apart, and which difference do so many tell?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.intervals import check_level

LEAST, MANY = 0.5, 1e5
"""Degrees of freedom of the least use, and those from which t is normal to five digits
and its inversion fails."""


def detectable_difference(
    data: float,
    prediction: float,
    n_items: int,
    *,
    n_repeats: int = 1,
    power: float = 0.8,
    confidence_level: float = 0.95,
) -> float:
    """Return the smallest true difference that a paired test of two models finds.

    ``(z[alpha/2] + z[beta]) sqrt((data + prediction / n_repeats) / n_items)``, for
    many items drawn at random.

    Parameters
    ----------
    data, prediction : float
        As in `harness.stats.pairs.NoiseSplit`: variance over items of the expected
        difference, and mean variance over repeats of both models together.
    n_items, n_repeats : int
        Of each model.
    power : float
        Probability of finding it.
    confidence_level : float
        1 less the share of false alarms; the test is two-sided.

    Returns
    -------
    float
        Score units; ``nan`` where the variances add up to less than 0.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, ``bad-power``, ``bad-count``.

    References
    ----------
    E. Miller, arXiv 2411.00640 (2024), section 5: ``data`` is omega^2, ``prediction``
    the sum of both sigma^2.
    """
    _check_counts(n_items, n_repeats)
    variance = (data + prediction / n_repeats) / n_items
    if variance < 0:
        return math.nan
    return float(noncentrality(math.inf, power, confidence_level) * math.sqrt(variance))


def items_needed(
    data: float,
    prediction: float,
    difference: float,
    *,
    n_repeats: int = 1,
    power: float = 0.8,
    confidence_level: float = 0.95,
) -> float:
    """Return how many items a paired test takes to find a difference.

    ``(z[alpha/2] + z[beta])^2 (data + prediction / n_repeats) / difference^2``, the
    inverse of `detectable_difference`, whose parameters and errors these are.

    Returns
    -------
    float
        Not rounded: 968.997 items are 969. ``nan`` where the variances add up to less
        than 0, ``inf`` for no difference.
    """
    _check_counts(1, n_repeats)
    variance = data + prediction / n_repeats
    if variance < 0:
        return math.nan
    if difference == 0:
        return math.inf
    return float(
        noncentrality(math.inf, power, confidence_level) ** 2 * variance / difference**2
    )


def noncentrality(
    df: npt.ArrayLike, power: float, confidence_level: float
) -> npt.NDArray[np.float64]:
    """Return how many standard errors from 0 a t test finds with probability `power`.

    Two-sided; finds on the wrong side are not counted. Of many degrees of freedom it is
    ``z[alpha/2] + z[beta]``; of none, ``inf``.

    Raises
    ------
    DesignError
        ``bad-confidence-level``, ``bad-power``.
    """
    from scipy.special import nctdtrinc, ndtri, stdtrit

    check_power(power)
    check_level(confidence_level)
    tail = (1 + confidence_level) / 2
    df = np.asarray(df, dtype=np.float64)
    few = np.clip(df, LEAST, MANY)
    by_t = nctdtrinc(few, 1 - power, stdtrit(few, tail))
    factor = np.where(df > MANY, ndtri(tail) + ndtri(power), by_t)
    return np.asarray(np.where(df < LEAST, np.inf, factor))


def check_power(power: float) -> None:
    """Refuse a power that is none (``bad-power``)."""
    if not 0.5 <= power <= 0.9999:
        raise DesignError(
            f"the power is {power}; give a probability from 0.5 to 0.9999, such as 0.8",
            code="bad-power",
        )


def _check_counts(n_items: int, n_repeats: int) -> None:
    if n_items < 1 or n_repeats < 1:
        raise DesignError(
            f"{n_items} items with {n_repeats} repeats: give 1 or more of each",
            code="bad-count",
        )
