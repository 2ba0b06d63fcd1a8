"""What must a step explain, so that quiet series seldom show one?

By simulation of all that `harness.stats.history.change` does with normal noise: 40,000
series of up to 100 points, 20,000 of 200 and 4,000 of 500; with a slope 12,000 of up to
30, 6,000 of up to 100, 4,000 of 200 and 2,000 of 500.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from harness.errors import DesignError
from harness.stats.history.segments import Trend

Floats = npt.NDArray[np.float64]

RATES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.002, 0.001)
"""Shares of quiet series that show a step."""

LENGTHS = (5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100, 200, 500)
"""Points of a series."""

PRICES: dict[tuple[bool, Trend], tuple[tuple[float, ...], ...]] = {
    (False, "none"): (
        (3.36, 5.43, 7.7, 10.67, 12.59, 15.45, 16.38),
        (3.83, 5.99, 8.41, 11.86, 14.61, 20.85, 23.34),
        (4.22, 6.4, 9.02, 13.02, 16.24, 23.03, 26.58),
        (4.5, 6.7, 9.25, 13.31, 16.87, 26.66, 30.46),
        (4.91, 7.06, 9.7, 13.6, 17.29, 29.06, 35.05),
        (5.29, 7.42, 9.98, 13.99, 17.62, 28.68, 33.54),
        (5.64, 7.83, 10.21, 14.19, 17.7, 27.05, 30.86),
        (6.1, 8.19, 10.56, 14.15, 17.19, 25.63, 29.84),
        (6.67, 8.62, 10.72, 13.66, 16.36, 22.5, 25.22),
        (7.25, 9.01, 10.81, 13.46, 15.4, 20.64, 23.13),
        (8.05, 9.63, 11.25, 13.64, 15.36, 19.18, 20.58),
        (8.76, 10.14, 11.55, 13.54, 15.22, 18.55, 20.97),
        (9.76, 10.99, 12.19, 13.76, 14.79, 19.84, 20.34),
    ),
    (False, "linear"): (
        (2.8, 3.22, 3.44, 3.58, 3.63, 3.68, 3.68),
        (3.41, 4.17, 5.05, 5.99, 6.42, 6.92, 7.06),
        (4.03, 5.14, 6.17, 7.35, 8.42, 10.09, 10.64),
        (4.48, 5.91, 7.19, 8.78, 10.05, 12.5, 13.21),
        (5, 6.6, 8.36, 10.53, 11.96, 16.99, 18.44),
        (5.36, 7.28, 9.19, 12.05, 14.32, 19.3, 21.16),
        (5.92, 7.86, 9.9, 13, 15.2, 20.94, 24.21),
        (6.46, 8.51, 10.62, 13.82, 16.19, 23.1, 24.74),
        (7.06, 9.07, 11.31, 14.25, 16.99, 22.6, 26.27),
        (7.68, 9.55, 11.63, 14.28, 16.45, 20.97, 23.86),
        (8.38, 10.2, 11.91, 14.17, 16, 19.81, 23.1),
        (8.98, 10.62, 12.32, 14.15, 15.66, 19.49, 20.58),
        (9.96, 11.36, 12.7, 14.87, 16.01, 20.97, 23.13),
    ),
    (True, "none"): (
        (2.36, 3.55, 4.76, 6.39, 7.7, 10.38, 11.17),
        (2.83, 4.08, 5.34, 7.02, 8.37, 11.63, 12.77),
        (3.26, 4.48, 5.76, 7.51, 8.81, 11.79, 13.35),
        (3.53, 4.79, 6.13, 7.85, 9.23, 12.35, 13.56),
        (3.96, 5.25, 6.53, 8.3, 9.59, 12.51, 14.38),
        (4.28, 5.57, 6.91, 8.61, 10.12, 13.27, 14.74),
        (4.69, 6.01, 7.42, 9.27, 10.62, 13.64, 14.87),
        (5.14, 6.48, 7.83, 9.69, 11, 14.09, 15.65),
        (5.73, 7.13, 8.51, 10.36, 11.86, 14.96, 16.05),
        (6.41, 7.72, 9.02, 10.73, 12.17, 15.43, 16.77),
        (7.24, 8.53, 9.8, 11.68, 12.98, 16.17, 17.47),
        (8, 9.22, 10.36, 12.05, 13.35, 16.55, 18.66),
        (9.01, 10.2, 11.33, 12.89, 13.86, 16.89, 19.3),
    ),
}
"""By whether noise is known, and by trend: a row for each length, a column for each
rate."""


def penalty_factor(
    n_points: npt.ArrayLike, false_alarms: float, *, trend: Trend, known: bool
) -> Floats:
    """Return the price of a step, in variances, at a rate of false alarms.

    Between the simulated ones in the logarithms of length and rate; of longer series
    the longest's.

    Raises
    ------
    DesignError
        ``bad-share``: the rate is not from 0.001 to 0.2.
    """
    if not RATES[-1] <= false_alarms <= RATES[0]:
        raise DesignError(
            f"the rate of false alarms is {false_alarms}; give one from {RATES[-1]} to "
            f"{RATES[0]}",
            code="bad-share",
        )
    rates = np.log(RATES[::-1])
    at = [
        np.interp(math.log(false_alarms), rates, row[::-1])
        for row in _prices(trend, known=known)
    ]
    lengths = np.log(np.maximum(n_points, 1))
    return np.asarray(np.interp(lengths, np.log(LENGTHS), at))


def step_p_value(gain: float, n_points: int, *, trend: Trend, known: bool) -> float:
    """Return the rate at which quiet series show a step that explains so much.

    Parameters
    ----------
    gain : float
        By how much the step lowers the sum of squares, in variances.
    n_points : int
        Of the whole series.
    """
    prices = [
        np.interp(math.log(n_points), np.log(LENGTHS), column)
        for column in zip(*_prices(trend, known=known), strict=True)
    ]
    return float(np.exp(np.interp(gain, prices, np.log(RATES))))


def _prices(trend: Trend, *, known: bool) -> tuple[tuple[float, ...], ...]:
    # A slope takes steps' part of the squares, so that the price without one is dear.
    return PRICES[known, "none" if known else trend]
