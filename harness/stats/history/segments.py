"""Which levels fit a series best? Least squares with a price for each step."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Trend = Literal["none", "linear"]

SHORTEST = 2
"""Points that a level has: one alone is a blip, or not yet a step."""

BLIP = 0.99865
"""Quantile of Student's t by which a blip lies outside of both its neighbours: 3 SDs of
a normal distribution."""

N_PASSES = 4
"""How often noise is estimated anew from within the levels found, at most."""

N_SLOPES = 3
"""How often slope and levels are found in turn, from each of two slopes."""


class Series(NamedTuple):
    """Several series side by side, each filled up at its end with weights of 0."""

    x: Floats
    """Shape (n_series, n_points): place of each point on its axis."""

    y: Floats
    weight: Floats
    """Inverse to each point's variance."""

    n: Counts
    """Points of each series."""

    def rows(self, which: Flags | Counts) -> Series:
        """Return some of the series."""
        return Series(self.x[which], self.y[which], self.weight[which], self.n[which])

    def without(self, points: Flags) -> Series:
        """Return the series without some points, those left moved together."""
        there = (self.weight > 0) & ~points
        order = np.argsort(~there, axis=1, kind="stable")
        x, y, weight = (np.take_along_axis(a, order, 1) for a in self[:3])
        n = there.sum(1)
        is_left = np.arange(x.shape[1]) < n[:, None]
        return Series(x, y * is_left, weight * is_left, n)


class Levels(NamedTuple):
    """What fits each of several series: where levels begin, the slope, the noise."""

    starts: Flags
    """Shape (n_series, n_points): whether a new level begins at a point."""

    slope: Floats
    variance: Floats
    """Of a point of weight 1."""


def partition(
    y: Floats, weight: Floats, n: Counts, penalty: Floats
) -> tuple[Floats, Counts]:
    """Return the least sum of squares and penalties, and where last levels begin.

    Optimal partitioning: ``min over levels of sum w (y - level)^2 + penalty * steps``
    over all divisions into levels of `SHORTEST` points or more, exact, by dynamic
    programming in O(n^2) steps for all series at once.

    Parameters
    ----------
    y, weight : ndarray, shape (n_series, n_points)
    n, penalty : ndarray, shape (n_series,)

    Returns
    -------
    cost : ndarray, shape (n_series,)
        Less ``sum w y^2``; infinite where there are fewer than `SHORTEST` points.
    last : ndarray, shape (n_series, n_points + 1)
        Of the first j points, where the best division's last level begins.

    References
    ----------
    B. Jackson et al., IEEE Signal Process. Lett. 12 (2005) 105, which PELT prunes
    (R. Killick, P. Fearnhead, I. A. Eckley, J. Am. Stat. Assoc. 107 (2012) 1590).
    """
    n_series, n_points = y.shape
    w, s = np.zeros((2, n_series, n_points + 1))
    np.cumsum(weight, axis=1, out=w[:, 1:])
    np.cumsum(weight * y, axis=1, out=s[:, 1:])
    w[:, 1:] += np.arange(1, n_points + 1) * (weight == 0)  # filled up: never 0 / 0
    cost = np.full((n_series, n_points + 1), np.inf)
    cost[:, 0] = -penalty
    last = np.zeros((n_series, n_points + 1), dtype=np.intp)
    every = np.arange(n_series)
    for j in range(SHORTEST, n_points + 1):
        before = slice(0, j - SHORTEST + 1)
        total = s[:, j, None] - s[:, before]
        total *= total
        total /= w[:, j, None] - w[:, before]
        np.subtract(cost[:, before], total, out=total)
        best = total.argmin(1)
        last[:, j] = best
        cost[:, j] = total[every, best] + penalty
    return cost[every, n], last


def level_starts(last: Counts, n: Counts) -> Flags:
    """Tell where new levels begin, from what `partition` found of each series."""
    n_series, n_points = last.shape
    starts = np.zeros((n_series, n_points), dtype=bool)
    every, at = np.arange(n_series), n
    while at.any():
        at = last[every, at]
        starts[every, at] = True
    starts[:, 0] = False
    return starts[:, :-1]


def fit_levels(
    series: Series, factor: Floats, *, trend: Trend = "none", variance: float | None
) -> Levels:
    """Return the levels that fit each series best.

    ``y = level + slope x + noise``, at a price of ``factor * variance`` for each step.
    The variance is that of successive differences (`successive_variance`), and where
    steps are found again without the differences across them, until the steps stay.

    Parameters
    ----------
    factor : ndarray, shape (n_series,)
        Price of a step, in variances of a point of weight 1.
    trend : {"none", "linear"}
        Whether there is a slope; it and the levels are fitted in turn, from the slope
        of least squares without a step and from that with one, and the better fit is
        taken.
    variance : float, optional
        Of a point of weight 1, where it is known.
    """
    slope = line_slope(series) if trend == "linear" else np.zeros(len(series.n))
    # Rounding must not look like a step where there is no noise at all.
    least = (1e-6 * np.abs(series.y).max(1, initial=0)) ** 2
    if variance is None:
        noise = np.maximum(successive_variance(series, slope), least)
    else:
        noise = np.full(len(series.n), variance)
    starts, slopes = _at_price(series, factor * noise, slope, trend)
    moved: Flags = np.asarray(starts.any(1) & (variance is None))
    for _ in range(N_PASSES):
        if not moved.any():
            break
        some = series.rows(moved)
        within = successive_variance(some, slopes[moved], across=starts[moved])
        noise[moved] = np.maximum(within, least[moved])
        again, slopes[moved] = _at_price(
            some, factor[moved] * noise[moved], slope[moved], trend
        )
        is_same = (again == starts[moved]).all(1)
        starts[moved] = again
        moved[moved] = ~is_same
    return Levels(starts, slopes, noise)


def _at_price(
    series: Series, price: Floats, slope: Floats, trend: Trend
) -> tuple[Flags, Floats]:
    """Return where levels begin, and the slope, of each series."""
    if trend == "none":
        _, last = partition(series.y, series.weight, series.n, price)
        return level_starts(last, series.n), np.zeros_like(price)
    least = np.full(len(series.n), np.inf)
    best, slopes = np.zeros(series.y.shape, dtype=bool), slope.copy()
    for first in (slope, slope_beside_a_step(series, slope)):
        now = first
        for _ in range(N_SLOPES):
            y = series.y - now[:, None] * series.x
            cost, last = partition(y, series.weight, series.n, price)
            cost = cost + (series.weight * y * y).sum(1)
            starts = level_starts(last, series.n)
            is_better = cost < least
            least = np.where(is_better, cost, least)
            best[is_better], slopes[is_better] = starts[is_better], now[is_better]
            now = line_slope(series, starts)
    return best, slopes


def line_slope(series: Series, starts: Flags | None = None) -> Floats:
    """Return each series' slope of least squares, within levels where there are."""
    x, y, w, _ = series
    level = np.zeros(y.shape, np.intp) if starts is None else starts.cumsum(1)
    level += np.arange(len(y))[:, None] * y.shape[1]

    def around(values: Floats) -> Floats:
        """Return values less the mean of their level."""
        total, weight = (
            np.bincount(level.ravel(), part.ravel()) for part in (w * values, w)
        )
        return np.asarray(values - (total / np.where(weight > 0, weight, 1))[level])

    dx = around(x)
    squares = (w * dx * dx).sum(1)
    return np.asarray((w * dx * y).sum(1) / np.where(squares > 0, squares, 1))


def slope_beside_a_step(series: Series, slope: Floats) -> Floats:
    """Return each series' slope of least squares beside the one step that fits best.

    By regression on the place and on each step in turn, both less what a line explains
    of them (Frisch, Waugh and Lovell).
    """
    x, y, w, n = series
    total = w.sum(1, keepdims=True)
    dx = x - (w * x).sum(1, keepdims=True) / np.where(total > 0, total, 1)
    squares = np.maximum((w * dx * dx).sum(1, keepdims=True), 1e-300)
    residual = y - slope[:, None] * dx
    residual -= (w * residual).sum(1, keepdims=True) / np.where(total > 0, total, 1)
    # What each step from a point on has in common with weights, places, residuals.
    own, along, gained = (
        np.cumsum((w * part)[:, ::-1], axis=1)[:, ::-1]
        for part in (np.ones_like(y), dx, residual)
    )
    left = own - own**2 / np.where(total > 0, total, 1) - along**2 / squares
    place = np.arange(y.shape[1])
    can = (place >= SHORTEST) & (place <= n[:, None] - SHORTEST)
    can &= left > 1e-9 * np.maximum(total, 1e-300)
    left = np.where(can, left, 1)
    best = np.where(can, gained**2 / left, -1).argmax(1)
    every = np.arange(len(n))
    size = np.where(can, gained / left, 0)[every, best]
    return np.asarray(slope - size * along[every, best] / squares[:, 0])


def successive_variance(
    series: Series, slope: Floats, *, across: Flags | None = None
) -> Floats:
    """Return the variance of a point of weight 1 from differences of neighbours.

    ``mean of (y[t + 1] - y[t] - slope)^2 / (1 / w[t] + 1 / w[t + 1])``: von Neumann's
    ``delta^2 / 2``, which neither a slow drift nor a few steps inflate much; without
    the differences `across` steps.
    """
    squares, is_pair = _squares(series, slope)
    if across is not None:
        is_pair &= ~across[:, 1:]
    return np.asarray((squares * is_pair).sum(1) / np.maximum(is_pair.sum(1), 1))


def _squares(series: Series, slope: Floats) -> tuple[Floats, Flags]:
    """Return standardised squares of successive differences, and where there are."""
    is_there = series.weight > 0
    is_pair = np.asarray(is_there[:, :-1] & is_there[:, 1:])
    d = np.diff(series.y - slope[:, None] * series.x, axis=1)
    inverse = 1 / np.where(is_there, series.weight, 1)
    return np.where(is_pair, d * d / (inverse[:, :-1] + inverse[:, 1:]), 0), is_pair


def blips(series: Series, slope: Floats) -> Flags:
    """Tell single points that lie far outside of both their neighbours.

    ``|y[t] - median(y[t - 1], y[t], y[t + 1])|`` beyond `BLIP`, in SDs from the other
    points' successive differences; an end by the median of the three at that end.
    """
    from scipy.special import stdtrit

    is_there, every, n = series.weight > 0, np.arange(len(series.n)), series.n
    if series.y.shape[1] < 4:
        return np.zeros(series.y.shape, dtype=bool)
    y = series.y - slope[:, None] * series.x
    middle = np.median([y[:, :-2], y[:, 1:-1], y[:, 2:]], axis=0)
    middle = np.concatenate([middle[:, :1], middle, middle[:, -1:]], axis=1)
    end = np.maximum(n - 1, 1)
    middle[every, end] = middle[every, end - 1]
    outside = np.abs(y - middle)
    squares, is_pair = _squares(series, slope)
    none = np.zeros((len(n), 1))
    own, n_own = (
        np.concatenate([none, part], 1) + np.concatenate([part, none], 1)
        for part in (squares, is_pair.astype(np.float64))
    )
    n_rest = is_pair.sum(1, keepdims=True) - n_own
    rest = np.maximum(squares.sum(1, keepdims=True) - own, 0) / np.maximum(n_rest, 1)
    sd = np.sqrt(rest / np.where(is_there, series.weight, 1))
    limit = stdtrit(successive_df(n_rest + 1), BLIP) * sd
    least = 1e-6 * np.abs(series.y).max(1, keepdims=True)
    is_long = (n >= 4)[:, None]
    return np.asarray(is_there & is_long & (outside > np.maximum(limit, least)))


def successive_df(n: npt.ArrayLike) -> Floats:
    """Return the degrees of freedom of the variance of `n` points' differences.

    ``2 (n - 1)^2 / (3 n - 4)``, of a chi-square of the same mean and variance: about
    two in three points count.

    References
    ----------
    J. von Neumann, R. H. Kent, H. R. Bellinson, B. I. Hart, Ann. Math. Stat. 12 (1941)
    153: the variance of the mean square successive difference of normal values.
    """
    n = np.maximum(np.asarray(n, dtype=np.float64), 2)
    return np.asarray(2 * (n - 1) ** 2 / (3 * n - 4))
